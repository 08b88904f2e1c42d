"""Shows on stderr how far long work has come."""

import sys
import time

_PERIOD_S = 5.0


class Progress:
  """Prints every few seconds how many are done, how fast, and the time left.

  `what` is a word such as "written"; the total is 0 if it is not known yet.
  """

  def __init__(self, what: str, total: int):
    self._what, self._total, self._done = what, total, 0
    self._start = self._printed = time.monotonic()

  def add(self, count: int) -> None:
    """Counts `count` images as done."""
    self._done += count
    now = time.monotonic()
    if now < self._printed + _PERIOD_S:
      return
    self._printed = now
    rate = self._done / (now - self._start)
    whole = left = ""
    if self._total:
      left_s = (self._total - self._done) / max(rate, 1e-9)
      minutes, seconds = divmod(int(left_s), 60)
      whole, left = f" of {self._total:,}", f", {minutes}:{seconds:02d} left"
    say(f"{self._what} {self._done:,}{whole} images, {rate:,.0f}/s{left}")


def say(text: str) -> None:
  """Prints a line to stderr at once."""
  print(text, file=sys.stderr, flush=True)
