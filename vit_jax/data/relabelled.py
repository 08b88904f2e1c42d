"""A data set whose labels are the numbers of somebody else's classes."""

from collections.abc import Sequence
import functools
from typing import Any

import numpy as np

from vit_jax.cluster import processes
from vit_jax.data import base, class_names


class Relabelled(base.Wrapped):
  """The examples of a source with other numbers for its classes.

  `numbers` has the new one of each class of the source, and `names` are by new
  number. The fingerprint is that of the source: what the labels become follows
  from the names on both sides.
  """

  def __init__(
    self, source: base.Source, numbers: Sequence[int], names: Sequence[str]
  ):
    super().__init__(source)
    # The last entry is for -1, which fills up several labels, or means none.
    self._numbers = np.array([*numbers, -1], np.int32)
    self.class_names = tuple(names)

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._source[index]
    label = self._numbers[example["label"]]
    return {**example, "label": label if np.ndim(label) else int(label)}

  def known_labels(self) -> np.ndarray | None:
    labels = self._source.known_labels()
    return None if labels is None else self._numbers[labels]

  @property
  def parts(self) -> tuple[tuple[int, int], ...]:
    return self._source.parts


def to(
  source: base.Source, names: Sequence[str], here: str, there: str
) -> base.Source:
  """A source with the labels that its classes have among `names`.

  For errors, `here` and `there` say what the source and `names` are of, such as
  "data.train.name=folder:photos".

  Raises:
    ConfigError: `names` are of other classes than the source.
  """
  own = numbers(source.class_names, names, here, there)
  if own is None or list(own) == sorted(own):
    return source
  return Relabelled(source, own, names)


def numbers(
  names: Sequence[str], known: Sequence[str], here: str, there: str, **how: str
) -> tuple[int, ...] | None:
  """As `class_names.numbers`; says so once if one of the two has no names."""
  places = class_names.numbers(names, known, here, there, **how)
  ours, theirs = map(class_names.are_known, (names, known))
  if places is None and ours != theirs:
    _say_unknown(here if theirs else there)
  return places


@functools.cache
def _say_unknown(what: str) -> None:
  """Says it the first time in a process."""
  processes.say(f"class names of {what} are not known, labels taken by number")
