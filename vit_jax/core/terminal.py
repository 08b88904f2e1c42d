"""The signals that ask a command to stop, and the terminal it runs in."""

from collections.abc import Iterator
import contextlib
import errno
import io
import os
import signal
import sys
import termios
from typing import Any

_OUTPUTS = (1, 2)


def stop_signals() -> tuple[signal.Signals, ...]:
  """SIGINT, SIGTERM, and SIGHUP unless it is ignored, as under nohup."""
  numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
  ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
  return numbers[: 2 if ignored else 3]


def leave() -> None:
  """Discards what is printed from now on to a terminal that was closed.

  To print there is an error, which would keep a run from saving.
  """
  for descriptor in _OUTPUTS:
    try:
      termios.tcgetattr(descriptor)
    except termios.error as e:
      if e.args[0] == errno.EIO:
        discard(descriptor)


def discard(descriptor: int) -> None:
  """Discards what is written to a descriptor from now on."""
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, descriptor)
  os.close(nowhere)


class Stdout(io.TextIOWrapper):
  """The standard output of a command; an error of it has its name.

  Text that its encoding lacks, such as the name of a file that is no text, is
  escaped, as on stderr. After an error it leads nowhere.
  """

  NAME = "the standard output"

  def __init__(self, before: Any):
    encoding = before.encoding
    buffering = before.line_buffering, before.write_through
    # Else it would be closed with the stream that is replaced.
    buffer = before.detach()
    super().__init__(buffer, encoding, "backslashreplace", None, *buffering)

  def write(self, s: str, /) -> int:
    with self._named():
      return super().write(s)

  def flush(self) -> None:
    with self._named():
      super().flush()

  @contextlib.contextmanager
  def _named(self) -> Iterator[None]:
    try:
      yield
    except OSError as e:
      e.filename = self.NAME
      discard(self.fileno())
      raise


def open_streams() -> None:
  """Makes stdout a `Stdout`; streams that were closed before lead nowhere.

  Otherwise printing to them would fail, and the next file that is opened would
  get what libraries print.
  """
  # In this order each gets its own number, the lowest that is free.
  sys.stdin = sys.stdin or _nowhere("r")
  sys.stdout = Stdout(sys.stdout or _nowhere("w"))
  sys.stderr = sys.stderr or _nowhere("w")


def _nowhere(mode: str) -> Any:
  return os.fdopen(os.open(os.devnull, os.O_RDWR), mode)
