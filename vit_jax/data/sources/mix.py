"""Weighted mixtures: "mix:0.7*folder:A+0.3*tfds:B", or "mix:7*...+3*...".

Training draws 7 of every 10 examples from A and 3 from B, spread evenly. Each
part has its own epochs: all its examples are visited once, in an order of its
own, before one is visited again. As a unit of duration an epoch is as many
examples as all parts have together. Evaluation sees each example of each part
once, whatever the weights. Parts that name the same classes in another order
get the numbers of the first one.
"""

import bisect
from fractions import Fraction
import itertools
import math
import re
from typing import Any

from vit_jax.core import errors
from vit_jax.data import base, class_names, relabelled

# A weight follows a plus that begins another part.
_WEIGHT = r"\d+(?:\.\d+)?"
_PLUS = re.compile(rf"\+(?={_WEIGHT}\*)")
_PART = re.compile(rf"({_WEIGHT})\*(.+)")


class Mix(base.Source):
  """Sources one after another, each with its name and its weight.

  Weights are whole numbers > 0. The sources have the same classes in the same
  order, and each is of the same split.
  """

  def __init__(
    self,
    names: list[str],
    weights: list[int],
    sources: list[base.Source],
    split: str,
  ):
    self._sources = sources
    self._weights = weights
    self._ends = list(itertools.accumulate(map(len, sources)))
    self.num_classes = sources[0].num_classes
    every = [source.class_names for source in sources]
    self.class_names = next(filter(class_names.are_known, every), every[0])
    self.fingerprint: dict[str, Any] = {
      "name": "mix",
      "version": "+".join(map(str, weights)),
      "split": split,
      "shard_sizes": list(map(len, sources)),
      "parts": {
        f"{i}:{name}": source.fingerprint
        for i, (name, source) in enumerate(zip(names, sources, strict=True))
      },
    }

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict[str, Any]:
    source, i = self._find(index)
    return {**source[i], "id": index}

  def where(self, index: int) -> str:
    source, i = self._find(index)
    return source.where(i)

  def notes(self) -> list[str]:
    return [note for source in self._sources for note in source.notes()]

  @property
  def parts(self) -> tuple[tuple[int, int], ...]:
    return tuple(zip(map(len, self._sources), self._weights, strict=True))

  def _find(self, index: int) -> tuple[base.Source, int]:
    """The part that an index is in, and its index there."""
    if not 0 <= index < len(self):
      raise IndexError(index)
    part = bisect.bisect_right(self._ends, index)
    start = self._ends[part - 1] if part else 0
    return self._sources[part], index - start


def open_source(rest: str, split: str, data_dir: str) -> Mix:
  """The same split of all parts, whose classes must be the same."""
  names, weights = _parse(rest)
  sources = [base.open_source(name, split, data_dir) for name in names]
  # Numbers are those of the first part whose classes have names.
  known = [class_names.are_known(source.class_names) for source in sources]
  k = known.index(True) if any(known) else 0
  like = sources[k]
  for i, source in enumerate(sources):
    if source.num_classes != like.num_classes:
      raise errors.ConfigError(
        f"{{name}}: {names[i]} has other classes than {names[k]}"
        f" ({source.num_classes}: {_few(source)}, not {like.num_classes}:"
        f" {_few(like)})",
        {"name": f"mix:{rest}"},
      )
    try:
      sources[i] = relabelled.to(source, like.class_names, names[i], names[k])
    except errors.ConfigError as e:
      text = f"{{name}}: {e}"
      raise errors.ConfigError(text, {"name": f"mix:{rest}"}) from e
  return Mix(names, weights, sources, split)


def placeless(rest: str) -> str:
  """The weights and the names of the parts without their places."""
  names, weights = _parse(rest)
  parts = zip(weights, map(base.placeless, names), strict=True)
  return "+".join(f"{weight}*{name}" for weight, name in parts)


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits that all parts have."""
  first, *others = (base.split_names(n, data_dir) for n in _parse(rest)[0])
  return tuple(s for s in first if all(s in other for other in others))


def _parse(rest: str) -> tuple[list[str], list[int]]:
  """Names of the parts, and their weights as whole numbers."""
  matches = [_PART.fullmatch(text) for text in _PLUS.split(rest)]
  shares = [Fraction(m[1]) for m in matches if m and Fraction(m[1])]
  names = [m[2] for m in matches if m]
  if len(shares) < max(2, len(matches)) or "mix" in map(base.scheme, names):
    raise errors.ConfigError(
      "{name} must be mix:WEIGHT*NAME+WEIGHT*NAME..., with weights > 0 and"
      " names of data sets other than mixtures, such as"
      " mix:0.7*folder:photos+0.3*tfds:digits",
      {"name": f"mix:{rest}"},
    )
  scale = math.lcm(*(share.denominator for share in shares))
  whole = [int(share * scale) for share in shares]
  return names, [weight // math.gcd(*whole) for weight in whole]


def _few(source: base.Source) -> str:
  return ", ".join([*source.class_names[:3], "..."])
