"""Made-up images that can be learnt, for runs without data.

A name is "synthetic[:NxHxWxCxCLASSES]": examples, height, width, channels and
classes.
"""

import dataclasses
import re
from typing import Any
import zlib

import numpy as np

from vit_jax.core import errors
from vit_jax.data import base

_SPLITS = ("train", "validation", "test")
_DEFAULT = "1000x32x32x3x10"


@dataclasses.dataclass(frozen=True)
class Synthetic(base.Source):
  """Examples of class i % classes: noise around a pattern of that class."""

  split: str
  size: int
  shape: tuple[int, int, int]
  num_classes: int

  @property
  def class_names(self) -> tuple[str, ...]:
    return tuple(map(str, range(self.num_classes)))

  @property
  def fingerprint(self) -> dict[str, Any]:
    return {
      "name": "synthetic",
      "version": "1",
      "split": self.split,
      "shard_sizes": [self.size, *self.shape, self.num_classes],
    }

  def __len__(self) -> int:
    return self.size

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < self.size:
      raise IndexError(index)
    label = index % self.num_classes
    # The patterns are common to all splits, the noise is not.
    draw = np.random.default_rng(label)
    pattern = draw.integers(0, 192, self.shape, np.uint8)
    key = [zlib.crc32(self.split.encode()), index]
    noise = np.random.default_rng(key).integers(0, 64, self.shape, np.uint8)
    return {"image": pattern + noise, "label": label, "id": index}


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits, each with examples of its own."""
  del rest, data_dir
  return _SPLITS


def open_source(rest: str, split: str, data_dir: str) -> Synthetic:
  """A split, which has N examples of its own."""
  del data_dir
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
