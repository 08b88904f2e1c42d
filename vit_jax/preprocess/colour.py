"""Random changes of colour.

These follow torchvision's ops on tensors, which round in another way than its
ops on PIL images. Images of one channel are grey already.
"""

import dataclasses
from typing import Any

import cv2
from jaxtyping import UInt8
import numpy as np

from vit_jax.preprocess import op

_GREY = np.array([0.2989, 0.587, 0.114], np.float32)


def _blend(image: op.Image, other: Any, factor: float) -> op.Image:
  """`other` at factor 0, the image at 1, and extrapolated above 1."""
  share = np.float32(factor)
  x = share * image.astype(np.float32)
  x = x + (1 - share) * np.asarray(other, np.float32)
  return np.clip(x, 0, 255).astype(np.uint8)


def _grey(image: op.Image) -> UInt8[np.ndarray, "h w 1"]:
  if image.shape[2] == 1:
    return image
  return (image.astype(np.float32) @ _GREY).astype(np.uint8)[..., None]


def _brightness(image: op.Image, factor: float) -> op.Image:
  return _blend(image, 0, factor)


def _contrast(image: op.Image, factor: float) -> op.Image:
  return _blend(image, _grey(image).mean(), factor)


def _saturation(image: op.Image, factor: float) -> op.Image:
  if image.shape[2] == 1:
    return image
  return _blend(image, _grey(image), factor)


def _hue(image: op.Image, turn: float) -> op.Image:
  if image.shape[2] == 1:
    return image
  hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
  hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
  rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
  # A little below 256 levels, so that cutting off gives every level back.
  return np.clip(rgb * np.float32(255.999), 0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class ColourJitter(op.RandomOp):
  """Brightness, contrast, saturation and hue changed in a random order.

  The first three are multiplied by a factor from [max(0, 1 - x), 1 + x]; the
  hue is turned by a share of the circle from [-x, x]. With x = 0 a property
  stays as it is. Source: torchvision's `ColorJitter`, with its arguments.

  Attributes:
    brightness: x of the brightness.
    contrast: x of the contrast, the distance to the mean grey.
    saturation: x of the saturation, the distance to the pixel's grey.
    hue: x of the hue, at most 0.5.
    p: probability that anything is changed.
  """

  brightness: float = 0.0
  contrast: float = 0.0
  saturation: float = 0.0
  hue: float = 0.0
  p: float = 1.0

  def __post_init__(self):
    super().__post_init__()
    op.check(self, 0 <= self.hue <= 0.5, "{hue} must be in [0, 0.5]")
    for name in ("brightness", "contrast", "saturation"):
      op.check(self, getattr(self, name) >= 0, f"{{{name}}} must be >= 0")
    op.check(
      self,
      max(x for _, x in self._changes()) > 0,
      "{brightness}, contrast, saturation and hue are all 0: give one of them,"
      " or leave colour_jitter out",
    )

  def apply(self, image, rng):
    changes = self._changes()
    for i in rng.permutation(len(changes)):
      change, x = changes[i]
      if x:
        low, high = (-x, x) if change is _hue else (max(0.0, 1 - x), 1 + x)
        image = change(image, rng.uniform(low, high))
    return image

  def _changes(self):
    """Each change with its x."""
    return (
      (_brightness, self.brightness),
      (_contrast, self.contrast),
      (_saturation, self.saturation),
      (_hue, self.hue),
    )


@dataclasses.dataclass(frozen=True)
class RandomGrayscale(op.RandomOp):
  """Grey in all channels with probability `p`."""

  p: float = 0.1

  def apply(self, image, rng):
    return np.repeat(_grey(image), image.shape[2], axis=2)


@dataclasses.dataclass(frozen=True)
class GaussianBlur(op.RandomOp):
  """Blurred with probability `p`, by a Gaussian of a random width.

  Its standard deviation is uniform within `sigma`, in px. The kernel ends 4
  standard deviations from its centre; the border is mirrored.
  """

  p: float = 0.5
  sigma: tuple[float, float] = (0.1, 2.0)

  def __post_init__(self):
    super().__post_init__()
    op.check(
      self,
      0 < self.sigma[0] <= self.sigma[1],
      "{sigma} must be (low, high) with 0 < low <= high",
    )

  def apply(self, image, rng):
    sigma = rng.uniform(*self.sigma)
    side = 2 * int(np.ceil(4 * sigma)) + 1
    blurred = cv2.GaussianBlur(
      image.astype(np.float32),
      (side, side),
      sigma,
      borderType=cv2.BORDER_REFLECT_101,
    )
    return np.rint(blurred).astype(np.uint8).reshape(image.shape)


@dataclasses.dataclass(frozen=True)
class RandomSolarize(op.RandomOp):
  """Pixels of at least `threshold` inverted, with probability `p`."""

  threshold: int = 128
  p: float = 0.5

  def __post_init__(self):
    super().__post_init__()
    op.check(
      self, 0 <= self.threshold <= 255, "{threshold} must be in [0, 255]"
    )

  def apply(self, image, rng):
    return np.where(image < self.threshold, image, 255 - image)
