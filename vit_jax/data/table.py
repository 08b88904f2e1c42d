"""The files of a data set as compact columns, in the order of their splits.

Within a split the files of each class are ordered by a hash of their path and
the classes are spread evenly. Any part of a split, such as train[:90%], thus
has each class in its share (to within one example), and is the same on every
machine. A split whose examples have several labels is only ordered by the
hash.
"""

from array import array
from collections.abc import Iterable
import dataclasses
import hashlib
import itertools
import json

import numpy as np

from vit_jax.core import errors
from vit_jax.data import paths

# Rows that are sorted at a time, which takes some 24 bytes per character.
_ROWS = 100_000


@dataclasses.dataclass
class Table:
  """Columns with a row for each file.

  Attributes:
    names: the paths below the root, one after another, without separators.
    ends: where each path ends in `names`.
    sizes: bytes of each file.
    labels: one for each file, or all of them one after another.
    label_ends: where the labels of each file end; empty if each has one.
    splits: index into `split_names`.
    split_names: the splits.
    class_names: names by class; empty if the classes have no names.
    num_classes: how many classes there are.
  """

  names: bytearray = dataclasses.field(default_factory=bytearray)
  ends: array = dataclasses.field(default_factory=lambda: array("q"))
  sizes: array = dataclasses.field(default_factory=lambda: array("q"))
  labels: array = dataclasses.field(default_factory=lambda: array("i"))
  label_ends: array = dataclasses.field(default_factory=lambda: array("q"))
  splits: array = dataclasses.field(default_factory=lambda: array("i"))
  split_names: list[str] = dataclasses.field(default_factory=list)
  class_names: list[str] = dataclasses.field(default_factory=list)
  num_classes: int = 0

  def add(
    self, path: bytes, size: int, labels: Iterable[int], split: int
  ) -> None:
    """Adds a row."""
    self.names += path
    self.ends.append(len(self.names))
    self.sizes.append(size)
    self.labels.extend(labels)
    self.splits.append(split)

  def path(self, row: int) -> bytes:
    """The path of a row."""
    start = self.ends[row - 1] if row else 0
    return bytes(self.names[start : self.ends[row]])


def in_order(
  table: Table,
) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, int]], dict[str, str]]:
  """Sorts a table, which must have at least one row.

  Returns:
    The columns by name (names uint8, ends, sizes, label_ends int64, labels
    int32; see Table); start and stop of each split's rows; and by split a
    SHA-256 of its paths, sizes and labels in their order and of the class
    names, but not of the files' contents.

  Raises:
    DataError: a path is listed twice.
  """
  hashes = np.fromiter(
    (_hash(table.path(i)) for i in range(len(table.ends))), np.uint64
  )
  _refuse_twice(table, hashes)
  labels = np.asarray(table.labels, np.int32)
  label_ends = np.asarray(table.label_ends, np.int64)
  split = np.asarray(table.splits, np.int32)
  strata = np.zeros_like(split) if len(label_ends) else labels
  parts = []
  for k in range(len(table.split_names)):
    rows = np.flatnonzero(split == k)
    parts.append(rows[_spread(strata[rows], hashes[rows])])
  edges = np.cumsum([0, *map(len, parts)]).tolist()
  splits = dict(zip(table.split_names, itertools.pairwise(edges), strict=True))
  order = np.concatenate(parts)
  names, ends = _take(
    np.frombuffer(table.names, np.uint8), np.asarray(table.ends), order
  )
  if len(label_ends):
    labels, label_ends = _take(labels, label_ends, order)
  else:
    labels = labels[order]
  columns = {
    "names": names,
    "ends": ends,
    "sizes": np.asarray(table.sizes, np.int64)[order],
    "labels": labels,
    "label_ends": label_ends,
  }
  classes = json.dumps([table.num_classes, table.class_names])
  digests = {
    name: _digest(columns, start, stop, classes)
    for name, (start, stop) in splits.items()
  }
  return columns, splits, digests


def _hash(path: bytes) -> int:
  return int.from_bytes(hashlib.blake2b(path, digest_size=8).digest(), "big")


def _refuse_twice(table: Table, hashes: np.ndarray) -> None:
  order = np.argsort(hashes)
  same = np.flatnonzero(np.diff(hashes[order]) == 0)
  if len(same):
    path = paths.printable(table.path(int(order[same[0]])))
    raise errors.DataError(f"{path} is listed twice; keep one of them")


def _spread(strata: np.ndarray, hashes: np.ndarray) -> np.ndarray:
  """The order in which each stratum is sorted by hash and spread evenly."""
  by_stratum = np.lexsort((hashes, strata))
  counts = np.bincount(strata)
  starts = np.cumsum(counts) - counts
  rank = np.empty(len(strata))
  rank[by_stratum] = np.arange(len(strata)) - starts[strata[by_stratum]]
  return np.lexsort((hashes, (rank + 0.5) / counts[strata]))


def _take(
  values: np.ndarray, ends: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Ragged rows in another order: their values and where each ends."""
  starts = np.concatenate([[0], ends[:-1]])
  lengths = (ends - starts)[order]
  new_ends = np.cumsum(lengths)
  out = np.empty(len(values), values.dtype)
  for first in range(0, len(order), _ROWS):
    part = slice(first, first + _ROWS)
    n = lengths[part]
    begin, stop = int(new_ends[first] - n[0]), int(new_ends[part][-1])
    shift = np.repeat(starts[order[part]] - (new_ends[part] - n), n)
    out[begin:stop] = values[np.arange(begin, stop) + shift]
  return out, new_ends


def _digest(
  columns: dict[str, np.ndarray], start: int, stop: int, classes: str
) -> str:
  """SHA-256 of all that is known about the examples of a split."""
  digest = hashlib.sha256(classes.encode())

  def add(name: str, first: int, last: int) -> None:
    digest.update(np.ascontiguousarray(columns[name][first:last]).data)

  def ragged(name: str, ends: str) -> None:
    edges = columns[ends]
    first, last = (int(edges[i - 1]) if i else 0 for i in (start, stop))
    digest.update(np.diff(edges[start:stop], prepend=first).data)
    add(name, first, last)

  ragged("names", "ends")
  add("sizes", start, stop)
  if len(columns["label_ends"]):
    ragged("labels", "label_ends")
  else:
    add("labels", start, stop)
  return digest.hexdigest()
