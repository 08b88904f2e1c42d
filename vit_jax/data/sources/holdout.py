"""Images held back from training: "holdout:SHARE*NAME".

"holdout:0.2*folder:photos" parts the data set's split "train" (or its only one)
into "train" and "val". A fifth of each class, but at least one image, is held
back as "val": the images whose contents have the lowest hashes. So the parts
are the same on every machine and under any names of files, and copies of an
image are all in the same part, also if they are in folders of several classes.
For this every image is read once when the source is opened.
"""

from collections.abc import Sequence
from concurrent import futures
import functools
import hashlib
import math
import re
from typing import Any

import numpy as np

from vit_jax.core import errors
from vit_jax.data import base, progress

SPLITS = ("train", "val")
_THREADS = 16
_CHUNK = 64
_NAME = re.compile(r"(0?\.\d+)\*(.+)")


class Holdout(base.Wrapped):
  """One of the two parts of a split, "train" or "val".

  The source has all examples, and `indices` are of those in this part,
  increasing.
  """

  def __init__(
    self, source: base.Source, indices: np.ndarray, name: str, split: str
  ):
    super().__init__(source)
    self._indices, self._arguments = indices, (name, split)
    inner = source.fingerprint
    self.fingerprint: dict[str, Any] = {
      "name": f"holdout:{inner['name']}",
      "version": f"{name.partition('*')[0]}*{inner['version']}",
      "split": split,
      "shard_sizes": [len(indices)],
      "members": hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest(),
      "whole": inner,
    }

  def __reduce__(self):
    # A worker process need not read all images again to know the parts.
    return Holdout, (self._source, self._indices, *self._arguments)

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return {**self._source[self._place(index)], "id": index}

  def where(self, index: int) -> str:
    return self._source.where(self._place(index))

  def known_labels(self) -> np.ndarray | None:
    labels = self._source.known_labels()
    return None if labels is None else labels[self._indices]

  def _place(self, index: int) -> int:
    if not 0 <= index < len(self):
      raise IndexError(index)
    return int(self._indices[index])


def open_source(rest: str, split: str, data_dir: str) -> Holdout:
  """A part of "SHARE*NAME".

  Raises:
    ConfigError: another form, no such part, or a class with a single image.
    DataError: an image cannot be read.
  """
  errors.check_one_of("split", split, SPLITS)
  share, name = _parse(rest)
  whole = base.open_source(name, whole_split(name, data_dir), data_dir)
  held = _held_back(name, share, data_dir, str(whole.fingerprint))
  chosen = np.flatnonzero(held if split == "val" else ~held)
  return Holdout(whole, chosen, rest, split)


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The two parts."""
  return SPLITS


def placeless(rest: str) -> str:
  """The share and the data set's name without its place."""
  share, _, name = rest.partition("*")
  return f"{share}*{base.placeless(name)}"


def whole_split(name: str, data_dir: str = "") -> str:
  """The split that is parted: "train", or the only one; or a ConfigError."""
  names = base.split_names(name, data_dir)
  if len(names) != 1:
    errors.check_one_of("split", "train", names)
    return "train"
  return names[0]


def _parse(rest: str) -> tuple[float, str]:
  match = _NAME.fullmatch(rest)
  if not match or not float(match[1]):
    raise errors.ConfigError(
      "{name} must be holdout:SHARE*NAME with a share between 0 and 1, such as"
      " holdout:0.2*folder:photos",
      {"name": f"holdout:{rest}"},
    )
  return float(match[1]), match[2]


# The parts of a run are opened one after another.
@functools.lru_cache(maxsize=4)
def _held_back(
  name: str, share: float, data_dir: str, fingerprint: str
) -> np.ndarray:
  """Whether each image is held back, bool [n]; again if the data changes."""
  source = base.open_source(name, whole_split(name, data_dir), data_dir)
  if len(source.parts) > 1:
    raise errors.ConfigError(
      f"{{name}} is a mixture; hold images back in each of its parts, such as"
      f" mix:0.7*holdout:{share}*folder:A+0.3*holdout:{share}*folder:B",
      {"name": name},
    )
  if not source.num_classes:
    raise errors.ConfigError(
      "{name} has no classes, so no share of each can be held back",
      {"name": name},
    )

  def look(first: int) -> list[tuple[bytes, int]]:
    last = min(first + _CHUNK, len(source))
    return [_facts(name, source[i]) for i in range(first, last)]

  seen = progress.Progress(f"{name}: compared", len(source))
  facts: list[tuple[Any, Any]] = []
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    for some in pool.map(look, range(0, len(source), _CHUNK)):
      facts += some
      seen.add(len(some))
  hashes, labels = ([fact[k] for fact in facts] for k in (0, 1))
  return choose(hashes, labels, share, source.class_names)


def _facts(name: str, example: dict[str, Any]) -> tuple[bytes, int]:
  """The hash of an image, and its class."""
  if np.ndim(example["label"]):
    raise errors.ConfigError(
      "{name} has several labels an image, so that no class has a share of its"
      " own; give it a split val to be scored on",
      {"name": name},
    )
  return _digest(example["image"]), int(example["label"])


def _digest(image: Any) -> bytes:
  if isinstance(image, bytes):
    return hashlib.sha256(image).digest()
  array = np.ascontiguousarray(image)
  return hashlib.sha256(str(array.shape).encode() + array.tobytes()).digest()


def choose(
  hashes: Sequence[bytes],
  labels: Sequence[int],
  share: float,
  class_names: Sequence[str] = (),
) -> np.ndarray:
  """Whether each image is held back, bool [n], by the hash of its contents.

  A share of each class is, between 0 and 1; copies count for the class of the
  first of them.

  Raises:
    ConfigError: a class has only one image, not counting copies.
  """
  copies: dict[bytes, list[int]] = {}
  for index, digest in enumerate(hashes):
    copies.setdefault(digest, []).append(index)
  by_class: dict[int, list[bytes]] = {}
  for digest, (first, *_) in copies.items():
    by_class.setdefault(labels[first], []).append(digest)
  held = np.zeros(len(hashes), bool)
  for label in sorted(set(labels)):
    digests = sorted(by_class.get(label, ()))
    if len(digests) < 2:
      name = class_names[label] if class_names else label
      raise errors.ConfigError(
        f"class {name} has {len(digests)} image{'s' * (len(digests) != 1)}, not"
        " counting copies; it needs at least 2, one to train on and one to be"
        " scored on"
      )
    wanted = math.floor(share * sum(len(copies[d]) for d in digests) + 0.5)
    taken: list[bytes] = []
    # The last one is trained on, whatever the share.
    for digest in digests[:-1]:
      if len(copies[digest]) <= wanted:
        taken.append(digest)
        wanted -= len(copies[digest])
    for digest in taken or [min(digests, key=lambda d: len(copies[d]))]:
      held[copies[digest]] = True
  return held
