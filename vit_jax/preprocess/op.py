"""What an op of the preprocessing language is.

An op is a frozen dataclass in a module of this package; its fields are its
arguments and its name is the class name in snake_case (`InceptionCrop` is
`inception_crop`). Host ops see one example in numpy, device ops a whole batch
inside `jit`. Images stay uint8 until the device: a quarter of the bytes.
"""

import dataclasses
from typing import Any

import numpy as np

from vit_jax.core import errors

Example = dict[str, Any]


class HostOp:
  """An op on one example, run by the input pipeline on the host."""

  def begin(self, example: Example, rng: np.random.Generator) -> Example:
    """What of a call needs no pixels, for a call with what this returns."""
    del rng
    return example

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """The changed example; all that is random comes from `rng`."""
    raise NotImplementedError


class DeviceOp:
  """An op on a batch, run inside `jit` on the device."""

  def __call__(self, batch: Example) -> Example:
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Size:
  """Height and width in px; written `224` or `(224, 288)`."""

  h: int
  w: int

  @classmethod
  def parse(cls, value: Any) -> "Size":
    if isinstance(value, Size):
      return value
    sides = value if isinstance(value, tuple) else (value, value)
    if len(sides) != 2 or any(type(s) is not int or s < 1 for s in sides):
      raise errors.ConfigError(
        "a size is a number of pixels >= 1 or (height, width), such as 224"
        " or (224, 288)"
      )
    return cls(*sides)

  def __str__(self) -> str:
    return str(self.h) if self.h == self.w else f"({self.h}, {self.w})"


def check(rule: bool, message: str, **fields: Any) -> None:
  """Raises ConfigError unless `rule` holds for the op's own fields."""
  if not rule:
    raise errors.ConfigError(message, fields)


def pixels(example: Example) -> np.ndarray:
  """The decoded image of an example, uint8 [h, w, c]."""
  image = example["image"]
  if isinstance(image, bytes):
    raise errors.ConfigError(
      "the image is still encoded: begin the preprocess string with decode"
    )
  if image.ndim != 3:
    raise errors.ConfigError(
      f"the image is {image.shape}, not [h, w, c]: give multicrop the ops for"
      " its crops as first, second and local"
    )
  return image
