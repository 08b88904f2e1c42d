"""A data source: generated stripes, "examples.own_parts.stripes:N"."""

from typing import Any

import numpy as np

from vit_jax.core import errors
from vit_jax.data import base

SPLITS = ("train", "test")


class Stripes(base.Source):
  """Images of 16 x 16 px with stripes along one of two axes."""

  def __init__(self, split: str, size: int):
    self._split, self._size = split, size
    self.num_classes = 2
    self.class_names = ("rows", "columns")
    self.fingerprint = {
      "name": "stripes",
      "split": split,
      "shard_sizes": [size],
    }

  def __len__(self) -> int:
    return self._size

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < self._size:
      raise IndexError(index)
    rng = np.random.default_rng([SPLITS.index(self._split), index])
    stripes = rng.integers(0, 256, (16, 1, 1), np.uint8)
    image = np.broadcast_to(stripes, (16, 16, 1))
    label = index % 2
    if label:
      image = image.swapaxes(0, 1)
    return {"image": image.copy(), "label": label, "id": index}


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """Names of the splits."""
  del rest, data_dir
  return SPLITS


def open_source(rest: str, split: str, data_dir: str) -> Stripes:
  """A split of `rest` examples."""
  del data_dir
  if not rest.isdecimal() or int(rest) < 1:
    raise errors.ConfigError(
      "{name} must end with :N, a number of examples", {"name": rest}
    )
  if split not in SPLITS:
    raise errors.ConfigError(
      f"{{split}} must be one of {', '.join(SPLITS)}", {"split": split}
    )
  return Stripes(split, int(rest))
