"""The signals that ask a command to stop, and the terminal it runs in."""

import errno
import os
import signal
import termios

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
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
