"""What happens beside training: progress, TensorBoard, profiler."""

from collections.abc import Iterator, Mapping
import contextlib
import pathlib
import sys
import time
from typing import Any

import jax

from vit_jax.cluster import processes
from vit_jax.core import errors


class Clock:
  """Training time: wall time without evaluation and saving."""

  def __init__(self) -> None:
    self._start = time.monotonic()
    self._paused = 0.0

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    start = time.monotonic()
    try:
      yield
    finally:
      self._paused += time.monotonic() - start

  def seconds(self) -> float:
    return time.monotonic() - self._start - self._paused


class Progress:
  """A line with step, loss, images/s and time left every few steps.

  Args:
    clock: training time.
    start: step at which this process began.
    total: steps of the whole run.
    every: steps between lines.
    batch_size: images a step.
  """

  def __init__(
    self, clock: Clock, start: int, total: int, every: int, batch_size: int
  ):
    self._clock = clock
    self._total = total
    self._every = every
    self._batch_size = batch_size
    # The first step compiles; the rate starts after it.
    self._first = start + 1
    self._last: tuple[int, float] | None = None
    self.images_per_s = 0.0

  def __call__(self, row: Mapping[str, Any]) -> bool:
    """Notes a row; prints and returns True where a line is due."""
    step = row["step"]
    if step != self._first and step % self._every and step != self._total:
      return False
    now = self._clock.seconds()
    left = "-"
    if self._last is not None:
      steps, seconds = step - self._last[0], now - self._last[1]
      self.images_per_s = steps * self._batch_size / max(seconds, 1e-9)
      remaining = (self._total - step) * self._batch_size
      left = duration_text(remaining / max(self.images_per_s, 1e-9))
    self._last = (step, now)
    rate = f"{self.images_per_s:,.1f}" if self.images_per_s else "-"
    say(
      f"step {step:,}/{self._total:,} ({step / self._total:.0%})"
      f"  loss {row['loss']:.4f}  {rate} images/s  {left} left"
    )
    return True


def duration_text(seconds: float) -> str:
  """Seconds as "1:02:03" or "2:03"."""
  minutes, s = divmod(round(seconds), 60)
  hours, m = divmod(minutes, 60)
  return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def scores_text(scores: Mapping[str, float]) -> str:
  """Scores as "top_1 0.9316  examples 351"."""
  return "  ".join(
    f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4f}"
    for name, value in scores.items()
  )


def say(text: str) -> None:
  """A line for the user, from the first process only."""
  if processes.is_first():
    print(text, file=sys.stderr, flush=True)


class TensorBoard:
  """Scalars as TensorBoard event files, through clu.

  Args:
    workdir: the folder the event files go to.
  """

  def __init__(self, workdir: pathlib.Path):
    # Imports TensorFlow, which takes seconds: only when a run starts.
    from clu import metric_writers
    import tensorflow as tf

    self._error = tf.errors.OpError
    self._workdir = workdir
    with self._storage():
      self._writer = metric_writers.SummaryWriter(str(workdir))

  @contextlib.contextmanager
  def _storage(self) -> Iterator[None]:
    try:
      yield
    except (OSError, self._error) as e:
      reason = str(e).splitlines()[0]
      raise errors.StorageError(
        f"cannot write TensorBoard events in {self._workdir}: {reason}; free"
        " space and run the same command again"
      ) from e

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    with self._storage():
      self._writer.write_scalars(step, scalars)
      self._writer.flush()

  def close(self) -> None:
    with self._storage():
      self._writer.close()


class Profiler:
  """Traces a window of steps into `workdir/profile`.

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
