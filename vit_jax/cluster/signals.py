"""When a run should stop early: a signal, or a preempted host."""

from collections.abc import Iterator
import contextlib
import os
import signal
from typing import Any

from jax.experimental import multihost_utils

from vit_jax.cluster import lifeline, processes
from vit_jax.core import terminal


class Stop:
  """Whether somebody asked the run to stop."""

  def __init__(self) -> None:
    self._signal: signal.Signals | None = None
    self._calls = 0
    self._agreed = False

  def handle(self, number: int, _: Any) -> None:
    if self._signal == signal.SIGINT == number:
      # Who presses Ctrl-C twice does not want to wait for a checkpoint.
      raise KeyboardInterrupt
    self._signal = signal.Signals(number)
    if number == signal.SIGHUP:
      terminal.leave()
    if not processes.alone():
      # JAX's preemption service tells the other processes.
      os.kill(os.getpid(), signal.SIGTERM)

  def requested(self) -> signal.Signals | None:
    """The signal to obey now, on every process at the same call.

    Of several processes each makes the same calls in the same order.
    """
    lifeline.tick()
    if not processes.alone() and not self._agreed:
      self._calls += 1
      self._agreed = multihost_utils.reached_preemption_sync_point(self._calls)
      if not self._agreed:
        return None
    return self._signal or (signal.SIGTERM if self._agreed else None)


@contextlib.contextmanager
def listen() -> Iterator[Stop]:
  """Listens for SIGTERM, SIGINT and SIGHUP while the context is open.

  With several processes JAX's preemption service listens for SIGTERM, and a
  Python handler would disable it.
  """
  stop = Stop()
  numbers = set(terminal.stop_signals())
  if not processes.alone():
    numbers.remove(signal.SIGTERM)
  before = {s: signal.signal(s, stop.handle) for s in numbers}
  try:
    yield stop
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
