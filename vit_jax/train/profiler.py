"""Traces a few steps of a run."""

import pathlib

import jax


class Profiler:
  """Traces a window of steps.

  At the window's end it writes `memory.prof` as well: the arrays on the devices
  and the lines that made them, in pprof's format.

  Args:
    folder: where both go.
    window: first step and number of steps; (0, 0) traces nothing.
  """

  def __init__(self, folder: pathlib.Path, window: tuple[int, int]):
    self._folder = folder
    self._first, self._steps = window
    self._running = False

  def before(self, step: int) -> None:
    """Called before `step` is dispatched."""
    if self._steps and step == self._first:
      jax.profiler.start_trace(str(self._folder))
      self._running = True
    elif self._running and step == self._first + self._steps:
      self.close()

  def close(self) -> None:
    if self._running:
      jax.profiler.stop_trace()
      memory = self._folder / "memory.prof"
      jax.profiler.save_device_memory_profile(str(memory))
      self._running = False
