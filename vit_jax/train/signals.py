"""When a run should stop early: SIGTERM, SIGINT, or a preempted host."""

from collections.abc import Iterator
import contextlib
import signal
from typing import Any

import jax
from jax.experimental import multihost_utils

_NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "SIGINT"}


class Stop:
  """Whether somebody asked the run to stop."""

  def __init__(self) -> None:
    self._signal: signal.Signals | None = None

  def handle(self, number: int, _: Any) -> None:
    if self._signal == signal.SIGINT == number:
      # Who presses Ctrl-C twice does not want to wait for a checkpoint.
      raise KeyboardInterrupt
    self._signal = signal.Signals(number)

  def requested(self, step: int) -> signal.Signals | None:
    """The signal to obey after `step`, the same on every process."""
    if jax.process_count() > 1:
      # JAX's preemption service makes the processes agree on a step.
      reached = multihost_utils.reached_preemption_sync_point(step)
      return signal.SIGTERM if reached else None
    return self._signal

  def pending(self) -> bool:
    """Whether a signal came; only what this process alone decides."""
    return self._signal is not None


@contextlib.contextmanager
def listen() -> Iterator[Stop]:
  """Listens for SIGTERM and SIGINT while the context is open.

  With several processes JAX's preemption service alone listens: a Python
  handler would disable it.
  """
  stop = Stop()
  if jax.process_count() > 1:
    yield stop
    return
  before = {s: signal.signal(s, stop.handle) for s in _NAMES}
  try:
    yield stop
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
