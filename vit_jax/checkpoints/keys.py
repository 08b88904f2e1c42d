"""Tables of names: how the tensors of a file and our arrays correspond.

A table is a list of rules, each of which reads both ways:

    Rule("blocks.{L}.attn.qkv.weight", "(S H K) D",
         "blocks/attention/{S}/kernel", "L D H K",
         {"L": ("0", "1"), "S": ("query", "key", "value")})

Every letter is an axis. A letter in braces means that there is one array for
each of its labels. Here each of their tensors is one layer L of our arrays, and
each of our arrays is one part S of their tensors. Parentheses join axes into
one; 1 is an axis of size 1.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import difflib
import itertools
import math
import re
from typing import TypeAlias

import numpy as np

from vit_jax.checkpoints.tensors import Tensor, Tensors

Shape: TypeAlias = tuple[int, ...]
_At: TypeAlias = dict[str, int]


@dataclasses.dataclass(frozen=True)
class Rule:
  """Tensors of a file (theirs) and arrays of a model (ours) that correspond.

  Attributes:
    theirs: their name or names.
    their_axes: axes of each of their tensors.
    ours: our name or names.
    our_axes: axes of each of our arrays.
    labels: for each letter in braces, the words that it stands for, in the
      order of the axis.
  """

  theirs: str
  their_axes: str
  ours: str
  our_axes: str
  labels: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

  def their_names(self) -> Iterator[tuple[str, _At]]:
    """Their names, each with its place along the axes in its braces."""
    return _names(self.theirs, self.labels)

  def our_names(self) -> Iterator[tuple[str, _At]]:
    """Our names, each with its place along the axes in its braces."""
    return _names(self.ours, self.labels)

  def sizes(self, ours: Mapping[str, Shape]) -> dict[str, int]:
    """The size of each axis, from our shapes."""
    sizes = {"1": 1, **{x: len(names) for x, names in self.labels.items()}}
    for name, _ in self.our_names():
      sizes |= dict(zip(self.our_axes.split(), ours[name], strict=True))
    return sizes

  def their_shape(self, sizes: Mapping[str, int]) -> Shape:
    """The shape that each of their tensors must have."""
    return tuple(
      math.prod(sizes[x] for x in group) for group in _groups(self.their_axes)
    )

  @property
  def unjoined(self) -> list[str]:
    """The axes of theirs, none of them joined."""
    return [x for group in _groups(self.their_axes) for x in group]


def _names(
  pattern: str, labels: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, _At]]:
  letters = re.findall(r"\{(\w+)\}", pattern)
  for places in itertools.product(*(range(len(labels[x])) for x in letters)):
    at = dict(zip(letters, places, strict=True))
    yield pattern.format(**{x: labels[x][i] for x, i in at.items()}), at


def _groups(axes: str) -> list[list[str]]:
  groups = re.findall(r"\(([^)]*)\)|(\S+)", axes)
  return [(joined or single).split() for joined, single in groups]


def layer(
  theirs: str,
  ours: str,
  axes: Sequence[str],
  our_axes: Sequence[str] = (),
  names: Sequence[str] = (),
  **labels: Sequence[str],
) -> list[Rule]:
  """The rules of a layer: its kernel, or the scale of a norm, and its bias.

  Args:
    theirs: what their names begin with.
    ours: what ours begin with.
    axes: axes of their kernel and of their bias.
    our_axes: likewise of ours, if they are others.
    names: how their two names end, if not as ours.
    **labels: see `Rule`.
  """
  kernel = "scale" if "norm" in ours.rpartition("/")[2] else "kernel"
  ends = (f"/{kernel}", "/bias")
  parts = zip(names or ends, ends, axes, our_axes or axes, strict=True)
  return [Rule(theirs + a, x, ours + b, y, labels) for a, b, x, y in parts]


def load(
  rules: Sequence[Rule], theirs: Tensors, out: Mapping[str, np.ndarray]
) -> None:
  """Fills our arrays from tensors that `faults` found nothing wrong with."""
  shapes = {name: array.shape for name, array in out.items()}
  for rule in rules:
    sizes = rule.sizes(shapes)
    for name, layer in rule.their_names():
      whole = theirs[name].read().reshape([sizes[x] for x in rule.unjoined])
      for to, value in _views(rule, out, layer, whole):
        to[...] = value


def save(
  rules: Sequence[Rule], ours: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
  """Their tensors, each of them made when it is read."""
  shapes = {name: array.shape for name, array in ours.items()}
  tensors = {}
  for rule in rules:
    sizes = rule.sizes(shapes)
    dtype = next(ours[name].dtype for name, _ in rule.our_names())
    shape = rule.their_shape(sizes)
    for name, layer in rule.their_names():

      def read(rule=rule, sizes=sizes, dtype=dtype, shape=shape, layer=layer):
        whole = np.empty([sizes[x] for x in rule.unjoined], dtype)
        for value, to in _views(rule, ours, layer, whole):
          to[...] = value
        return whole.reshape(shape)

      tensors[name] = Tensor(shape, dtype, read)
  return tensors


def _views(
  rule: Rule, ours: Mapping[str, np.ndarray], layer: _At, theirs: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """The elements of one of their tensors in ours and in it, with equal axes."""
  for name, part in rule.our_names():
    a, a_axes = _selected(ours[name], rule.our_axes.split(), layer)
    b, b_axes = _selected(theirs, rule.unjoined, part)
    yield a, b.transpose([b_axes.index(x) for x in a_axes])


def _selected(
  array: np.ndarray, axes: list[str], at: _At
) -> tuple[np.ndarray, list[str]]:
  """The part of an array at these places, and its axes; none of size 1."""
  array = array[tuple(at.get(x, slice(None)) for x in axes)]
  axes = [x for x in axes if x not in at]
  array = array.squeeze(tuple(i for i, x in enumerate(axes) if x == "1"))
  return array, [x for x in axes if x != "1"]


def faults(
  rules: Sequence[Rule], theirs: Tensors, ours: Mapping[str, Shape]
) -> list[str]:
  """All the ways in which a file does not fit a model; empty if it fits.

  Each tensor must be used, and each of our arrays filled, exactly once.
  """
  expected: dict[str, Shape] = {}
  filled: list[str] = []
  for rule in rules:
    names = [name for name, _ in rule.our_names()]
    filled += names
    if all(name in ours for name in names):
      shape = rule.their_shape(rule.sizes(ours))
      expected |= {name: shape for name, _ in rule.their_names()}
  missing = [name for name in expected if name not in theirs]
  extra = [name for name in theirs if name not in expected]
  wrong = [
    f"{name} is {_show(theirs[name].shape)} there, {_show(shape)} here"
    for name, shape in expected.items()
    if name in theirs and theirs[name].shape != shape
  ]
  no_numbers = [
    f"{name} is {theirs[name].dtype}"
    for name in expected
    if name in theirs and theirs[name].dtype.kind in "biu"
  ]
  without = [name for name in ours if name not in filled]
  kinds = {
    "missing": _with_nearest(missing, extra),
    "extra": _with_nearest(extra, missing),
    "of another shape": wrong,
    "without fractions": no_numbers,
    "only in the model": without,
  }
  return [
    f"{len(names)} {kind}: {', '.join(names)}"
    for kind, names in kinds.items()
    if names
  ]


def _with_nearest(names: list[str], others: list[str]) -> list[str]:
  out = []
  for i, name in enumerate(names):
    # To compare all names of an unrelated file would take minutes.
    near = others[:500] if i < 30 else []
    close = difflib.get_close_matches(name, near, n=1)
    out.append(f"{name} (nearest: {close[0]})" if close else name)
  return out


def _show(shape: Shape) -> str:
  return "x".join(map(str, shape)) or "a scalar"
