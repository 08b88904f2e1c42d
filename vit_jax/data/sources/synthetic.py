"""Made-up images that can be learnt, for runs without data.

A name is "synthetic[:NxHxWxCxCLASSES]": examples, height, width, channels and
classes.
"""

import re
from typing import Any
import zlib

import numpy as np

from vit_jax.core import errors
from vit_jax.data import base

_SPLITS = ("train", "validation", "test")
_DEFAULT = "1000x32x32x3x10"


class Synthetic(base.Source):
  """Examples of class i % classes: noise around a pattern of that class.

  Each split has other noise. The shape of the images is [h, w, c].
  """

  def __init__(
    self, split: str, size: int, shape: tuple[int, int, int], num_classes: int
  ):
    self._split, self._size, self._shape = split, size, shape
    self.num_classes = num_classes
    self.class_names = tuple(map(str, range(num_classes)))
    self.fingerprint = {
      "name": "synthetic",
      "version": "1",
      "split": split,
      "shard_sizes": [size, *shape, num_classes],
    }

  def __len__(self) -> int:
    return self._size

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < self._size:
      raise IndexError(index)
    label = index % self.num_classes
    # The patterns are common to all splits, the noise is not.
    draw = np.random.default_rng(label)
    pattern = draw.integers(0, 192, self._shape, np.uint8)
    key = [zlib.crc32(self._split.encode()), index]
    noise = np.random.default_rng(key).integers(0, 64, self._shape, np.uint8)
    return {"image": pattern + noise, "label": label, "id": index}


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits, each with examples of its own."""
  return _SPLITS


def open_source(rest: str, split: str, data_dir: str) -> Synthetic:
  """A split, which has N examples of its own."""
  match = re.fullmatch(r"[1-9]\d*(x[1-9]\d*){4}", rest or _DEFAULT)
  if not match:
    raise errors.ConfigError(
      "{name} must be synthetic:NxHxWxCxCLASSES, numbers >= 1 of examples,"
      f" height, width, channels and classes, such as synthetic:{_DEFAULT}",
      {"name": f"synthetic:{rest}"},
    )
  if split not in _SPLITS:
    raise errors.ConfigError(
      f"{{split}} is unknown{errors.did_you_mean(split, _SPLITS)}"
      f" (splits: {', '.join(_SPLITS)})",
      {"split": split},
    )
  size, h, w, c, classes = map(int, match[0].split("x"))
  return Synthetic(split, size, (h, w, c), classes)
