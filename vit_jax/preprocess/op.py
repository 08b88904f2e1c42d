"""The contract of an op of the preprocessing language.

An op is a frozen dataclass that derives from one of the classes below. Its
fields are its arguments (numbers, text, True or False, tuples, `Size`, or
another type with a `parse`), checked in `__post_init__` with `check`; its
docstring names each. Its name in the language is the class name in snake_case:
`InceptionCrop` is `inception_crop`. An op of this package is found by that
name; one from outside by its module too, `mylab.ops.blur(3)`, where a function
`blur(image, rng, ...)` will do as well (see `lookup.py`).

Host ops see one example in numpy and draw all that is random from the generator
they are given, which depends on the seed, the step and the example alone.
Device ops see a whole batch inside `jit` and draw nothing. Neither changes what
it is given. Images stay uint8 until the device: a quarter of the bytes.
"""

import abc
import dataclasses
from typing import Any

from jaxtyping import UInt8
import numpy as np

from vit_jax.core import errors

# Features by name: "image" (bytes or pixels), "label", "id" and others.
Example = dict[str, Any]
Image = UInt8[np.ndarray, "h w c"]


class HostOp(abc.ABC):
  """An op on one example, run by the input pipeline on the host."""

  def begin(self, example: Example, rng: np.random.Generator) -> Example:
    """The part of a call that needs no pixels, so that it can run earlier.

    The pipeline may call it, for the first op alone; the op is then called with
    what it returns.
    """
    return example

  @abc.abstractmethod
  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """The changed example; all that is random comes from `rng`."""


class ImageOp(HostOp):
  """A host op that changes the image and nothing else."""

  def __call__(self, example, rng):
    return {**example, "image": self.change(pixels(example), rng)}

  @abc.abstractmethod
  def change(
    self, image: Image, rng: np.random.Generator
  ) -> UInt8[np.ndarray, "h2 w2 c"]:
    """The changed image; its size may be another one."""


class RandomOp(ImageOp):
  """An image op that is applied with the probability `p`, a field of it."""

  p: float

  def __post_init__(self):
    check(self, 0 <= self.p <= 1, "{p} must be in [0, 1]")

  def change(self, image, rng):
    return image if rng.random() >= self.p else self.apply(image, rng)

  @abc.abstractmethod
  def apply(self, image: Image, rng: np.random.Generator) -> Image:
    """The changed image."""


class DeviceOp(abc.ABC):
  """An op on a batch, run inside `jit` on the device."""

  @abc.abstractmethod
  def __call__(self, batch: Example) -> Example:
    """The changed batch."""


@dataclasses.dataclass(frozen=True)
class Size:
  """Height and width in px; written `224` or `(224, 288)`."""

  h: int
  w: int

  @classmethod
  def parse(cls, value: Any) -> "Size":
    """The size that is written as this literal."""
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


def check(op: HostOp | DeviceOp, rule: bool, message: str) -> None:
  """Raises a ConfigError about the `{fields}` in `message` unless `rule`."""
  if not rule:
    raise errors.about(op, message)


def pixels(example: Example) -> Image:
  """The decoded image of an example."""
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
