"""Parts of a split: "train", "train[:90%]", "train[90%:]", "train[100:200]"."""

from collections.abc import Mapping
from fractions import Fraction
import math
import re

from vit_jax.core import errors

_EDGE = r"-?\d+(?:\.\d+)?%|-?\d+"
_SPLIT = re.compile(rf"([^\[\]]+)(?:\[({_EDGE})?:({_EDGE})?\])?")


def parse(split: str, sizes: Mapping[str, int]) -> tuple[str, int, int]:
  """Name, start and stop of a part of one of the splits.

  A percentage is rounded to the nearest example, a half upwards, so that
  [:90%] and [90%:] and likewise [-10%:] share nothing and leave nothing out.
  `sizes` has the examples of each split that there is.

  Raises:
    ConfigError: no such split, or a part that is empty or beyond its end.
  """
  match = _SPLIT.fullmatch(split)
  known = f"splits: {', '.join(f'{k} ({n})' for k, n in sizes.items())}"
  if not match or match[1] not in sizes:
    word = split.partition("[")[0]
    raise errors.ConfigError(
      f"{{split}} is unknown{errors.did_you_mean(word, sizes)} ({known}, and"
      " parts of them such as train[:90%])",
      {"split": split},
    )
  size = sizes[match[1]]
  start, stop = _edge(match[2] or "0", size), _edge(match[3] or "100%", size)
  if not 0 <= start < stop <= size:
    raise errors.ConfigError(
      f"{{split}} is examples {start} to {stop} of {size}: take a part that is"
      " not empty and within the split",
      {"split": split},
    )
  return match[1], start, stop


def _edge(text: str, size: int) -> int:
  if not text.endswith("%"):
    value = int(text)
    return value if not text.startswith("-") else size + value
  share = Fraction(text[:-1]) / 100
  if text.startswith("-"):
    share += 1
  return math.floor(share * size + Fraction(1, 2))
