"""Random colours: uint8 [h, w, c] on the host.

In torchvision's form for tensors, which differs from the one for PIL images
by rounding. Images of one channel are grey already.
"""

import dataclasses
from typing import Any

import cv2
import numpy as np

from vit_jax.preprocess import op

_GREY = np.array([0.2989, 0.587, 0.114], np.float32)


def _blend(image: np.ndarray, other: Any, factor: float) -> np.ndarray:
  """`other` at factor 0, the image at 1 and more than it beyond."""
  factor = np.float32(factor)
  x = factor * image.astype(np.float32)
  x = x + (1 - factor) * np.asarray(other, np.float32)
  return np.clip(x, 0, 255).astype(np.uint8)


def _grey(image: np.ndarray) -> np.ndarray:
  """uint8 [h, w, c] -> [h, w, 1]."""
  if image.shape[2] == 1:
    return image
  return (image.astype(np.float32) @ _GREY).astype(np.uint8)[..., None]


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
  return _blend(image, 0, factor)


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
  return _blend(image, _grey(image).mean(), factor)


def _saturation(image: np.ndarray, factor: float) -> np.ndarray:
  if image.shape[2] == 1:
    return image
  return _blend(image, _grey(image), factor)


def _hue(image: np.ndarray, turn: float) -> np.ndarray:
  if image.shape[2] == 1:
    return image
  hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
  hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
  rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
  # A little below 256 levels, so that cutting off gives every level back.
  return np.clip(rgb * np.float32(255.999), 0, 255).astype(np.uint8)


def _check_p(p: float) -> None:
  op.check(0 <= p <= 1, "{p} must be in [0, 1]", p=p)


@dataclasses.dataclass(frozen=True)
class ColourJitter(op.HostOp):
  """Brightness, contrast, saturation and hue changed in a random order.

  The first three are multiplied by a number from [max(0, 1 - x), 1 + x], the
  hue is turned by a share of the circle from [-x, x]; 0 leaves one alone.
  Torchvision's `ColorJitter`, with its arguments.

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
    _check_p(self.p)
    op.check(0 <= self.hue <= 0.5, "{hue} must be in [0, 0.5]", hue=self.hue)
    for name in ("brightness", "contrast", "saturation"):
      x = getattr(self, name)
      op.check(x >= 0, f"{{{name}}} must be >= 0", **{name: x})
    op.check(
      max(x for _, x in self._changes()) > 0,
      "{brightness}, contrast, saturation and hue are all 0: give one of them,"
      " or leave colour_jitter out",
      brightness=self.brightness,
    )

  def __call__(self, example, rng):
    if rng.random() >= self.p:
      return example
    image, changes = op.pixels(example), self._changes()
    for i in rng.permutation(len(changes)):
      change, x = changes[i]
      if x:
        low, high = (-x, x) if change is _hue else (max(0.0, 1 - x), 1 + x)
        image = change(image, rng.uniform(low, high))
    return {**example, "image": image}

  def _changes(self):
    """Each change and the reach of its factor."""
    return (
      (_brightness, self.brightness),
      (_contrast, self.contrast),
      (_saturation, self.saturation),
      (_hue, self.hue),
    )


@dataclasses.dataclass(frozen=True)
class RandomGrayscale(op.HostOp):
  """Grey in all channels with probability `p`."""

  p: float = 0.1

  def __post_init__(self):
    _check_p(self.p)

  def __call__(self, example, rng):
    if rng.random() >= self.p:
      return example
    image = op.pixels(example)
    return {**example, "image": np.repeat(_grey(image), image.shape[2], axis=2)}


@dataclasses.dataclass(frozen=True)
class GaussianBlur(op.HostOp):
  """Blurred with probability `p`, by a Gaussian of sigma within `sigma` px.

  The kernel ends 4 sigma from its centre; the border is mirrored.
  """

  p: float = 0.5
  sigma: tuple[float, float] = (0.1, 2.0)

  def __post_init__(self):
    _check_p(self.p)
    op.check(
      0 < self.sigma[0] <= self.sigma[1],
      "{sigma} must be (low, high) with 0 < low <= high",
      sigma=self.sigma,
    )

  def __call__(self, example, rng):
    if rng.random() >= self.p:
      return example
    image, sigma = op.pixels(example), rng.uniform(*self.sigma)
    side = 2 * int(np.ceil(4 * sigma)) + 1
    blurred = cv2.GaussianBlur(
      image.astype(np.float32),
      (side, side),
      sigma,
      borderType=cv2.BORDER_REFLECT_101,
    )
    blurred = np.rint(blurred).astype(np.uint8)
    return {**example, "image": blurred.reshape(image.shape)}


@dataclasses.dataclass(frozen=True)
class RandomSolarize(op.HostOp):
  """Pixels of at least `threshold` inverted, with probability `p`."""

  threshold: int = 128
  p: float = 0.5

  def __post_init__(self):
    _check_p(self.p)
    op.check(
      0 <= self.threshold <= 255,
      "{threshold} must be in [0, 255]",
      threshold=self.threshold,
    )

  def __call__(self, example, rng):
    if rng.random() >= self.p:
      return example
    image = op.pixels(example)
    image = np.where(image < self.threshold, image, 255 - image)
    return {**example, "image": image}
