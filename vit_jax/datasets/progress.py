"""Says how far long work is."""

import sys
import time

_SAY_EVERY_S = 5.0


class Progress:
  """Lines on stderr: how many of how many, how fast, how long still.

  Args:
    what: such as "written".
    total: how many there are; 0 where that is what is being found out.
  """

  def __init__(self, what: str, total: int):
    self._what, self._total, self._done = what, total, 0
    self._start = self._said = time.monotonic()

  def add(self, count: int) -> None:
    self._done += count
    now = time.monotonic()
    if now < self._said + _SAY_EVERY_S:
      return
    self._said = now
    rate = self._done / (now - self._start)
    text = f"{self._what} {self._done:,}"
    if self._total:
      left_s = (self._total - self._done) / max(rate, 1e-9)
      minutes, seconds = divmod(int(left_s), 60)
      text += f" of {self._total:,}"
      say(f"{text} images, {rate:,.0f}/s, {minutes}:{seconds:02d} left")
    else:
      say(f"{text} images, {rate:,.0f}/s")


def say(text: str) -> None:
  """Prints a line to stderr at once."""
  print(text, file=sys.stderr, flush=True)
