"""Lengths of training: steps, epochs, examples or a fraction of the run."""

import dataclasses
import math
import re

from vit_jax.core import errors

_UNITS = ("steps", "epochs", "examples", "%")
_PATTERN = re.compile(r"(\d[\d_]*(?:\.\d+)?(?:e\d+)?) *([a-z]+|%)")


@dataclasses.dataclass(frozen=True)
class Duration:
  """A length such as "10_000 steps", "300 epochs", "1e9 examples" or "5 %".

  In a config it is that text. Percents are of the whole run.
  """

  value: float
  unit: str

  @classmethod
  def parse(cls, text: "str | Duration") -> "Duration":
    if isinstance(text, Duration):
      return text
    match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
    unit = match[2] if match else ""
    if match and unit + "s" in _UNITS:
      unit += "s"
    if not match or unit not in _UNITS:
      raise errors.ConfigError(
        "a duration is a number and one of"
        f" {', '.join(_UNITS)}{errors.did_you_mean(unit, _UNITS)}"
        " (such as '10_000 steps' or '5 %')"
      )
    return cls(float(match[1].replace("_", "")), unit)

  def __str__(self) -> str:
    return f"{self.value:_.10g} {self.unit}"

  def steps(self, *, batch_size: int, epoch_examples: int, total: int) -> int:
    """This length in steps, rounded to the nearest (half to even).

    What is longer than nothing is at least one step, as in big_vision's
    `steps`; but of a run of one step a small percentage is none.

    Args:
      batch_size: examples a step.
      epoch_examples: examples of one pass over the training split.
      total: steps of the whole run, for percents.
    """
    per_unit = {
      "steps": 1.0,
      "epochs": epoch_examples / batch_size,
      "examples": 1.0 / batch_size,
      "%": total / 100.0,
    }
    steps = round(self.value * per_unit[self.unit])
    can_be_none = self.is_zero() or (self.unit == "%" and total == 1)
    return steps if can_be_none else max(steps, 1)

  def is_zero(self) -> bool:
    return math.isclose(self.value, 0.0)


def check_distance(name: str, length: Duration) -> None:
  """Raises a ConfigError about the field `name`, a distance, if it is zero."""
  if length.is_zero():
    raise errors.ConfigError(
      f"{{{name}}} is no distance; use at least '1 step', or '100 %' for the"
      " end alone",
      {name: length},
    )
