"""Resizes, crops, flips and shifts: uint8 [h, w, c] on the host."""

import dataclasses
import math
from typing import Literal

import cv2
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op, resample

_ATTEMPTS = 100
_BORDERS = {"zero": cv2.BORDER_CONSTANT, "edge": cv2.BORDER_REPLICATE}


def _check_method(method: str, antialias: bool) -> None:
  op.check(
    not antialias or method not in {"area", "nearest"},
    "{antialias} is for a kernel that can be widened (bilinear, bicubic),"
    f" not for method={method!r}",
    antialias=antialias,
  )


def _check_fits(example: op.Example, size: op.Size, name: str) -> None:
  h, w = op.pixels(example).shape[:2]
  if h < size.h or w < size.w:
    raise errors.DataError(
      f"record {example['id']}: the image is {h} x {w}, too small for"
      f" {name}({size}); put resize_small({max(size.h, size.w)}) before it"
    )


def _crop(example: op.Example, y: int, x: int, size: op.Size) -> op.Example:
  image = example["image"][y : y + size.h, x : x + size.w]
  return {**example, "image": image}


@dataclasses.dataclass(frozen=True)
class Resize(op.HostOp):
  """The whole image to `size`, whatever its aspect ratio."""

  size: op.Size
  method: resample.Method = "bilinear"
  antialias: bool = False

  def __post_init__(self):
    _check_method(self.method, self.antialias)

  def __call__(self, example, rng):
    del rng
    image = resample.resize(
      op.pixels(example),
      self.size.h,
      self.size.w,
      self.method,
      self.antialias,
    )
    return {**example, "image": image}


@dataclasses.dataclass(frozen=True)
class ResizeSmall(op.HostOp):
  """The smaller side to `smaller_size` px; keeps the aspect ratio."""

  smaller_size: int
  method: resample.Method = "area"
  antialias: bool = False

  def __post_init__(self):
    op.check(
      self.smaller_size > 0,
      "{smaller_size} must be > 0 px",
      smaller_size=self.smaller_size,
    )
    _check_method(self.method, self.antialias)

  def __call__(self, example, rng):
    del rng
    image = op.pixels(example)
    # In float32 and half to even, as published: the sizes decide the crop.
    sides = np.asarray(image.shape[:2], np.float32)
    h, w = np.round(
      sides * (np.float32(self.smaller_size) / sides.min())
    ).astype(int)
    image = resample.resize(image, h, w, self.method, self.antialias)
    return {**example, "image": image}


@dataclasses.dataclass(frozen=True)
class CentralCrop(op.HostOp):
  """The central `crop_size` pixels (the upper left of two equal middles)."""

  crop_size: op.Size

  def __call__(self, example, rng):
    del rng
    _check_fits(example, self.crop_size, "central_crop")
    h, w = op.pixels(example).shape[:2]
    y, x = (h - self.crop_size.h) // 2, (w - self.crop_size.w) // 2
    return _crop(example, y, x, self.crop_size)


@dataclasses.dataclass(frozen=True)
class RandomCrop(op.HostOp):
  """`crop_size` pixels from anywhere, every place equally likely."""

  crop_size: op.Size

  def __call__(self, example, rng):
    _check_fits(example, self.crop_size, "random_crop")
    h, w = op.pixels(example).shape[:2]
    y = int(rng.integers(h - self.crop_size.h + 1))
    x = int(rng.integers(w - self.crop_size.w + 1))
    return _crop(example, y, x, self.crop_size)


@dataclasses.dataclass(frozen=True)
class InceptionCrop(op.HostOp):
  """A random part of the image, resized to `size`.

  The part covers `area_min` to `area_max` percent of the image, with width /
  height within `aspect`; its height is uniform between what these allow. The
  whole image is taken when none of 100 attempts fits. Source: the training crop
  of arXiv:1409.4842, section 6, drawn like TensorFlow's
  `sample_distorted_bounding_box`; arguments as in big_vision, and `aspect`.

  Differs from TensorFlow in that the last row and column can be reached, and
  in that less than 1 % of the values are off by one level (bilinear).
  """

  size: op.Size
  area_min: float = 5.0
  area_max: float = 100.0
  method: resample.Method = "bilinear"
  antialias: bool = False
  aspect: tuple[float, float] = (0.75, 1.33)

  def __post_init__(self):
    _check_method(self.method, self.antialias)
    op.check(
      0 < self.area_min <= self.area_max <= 100,
      "{area_min} and {area_max} are percent: 0 < area_min <= area_max <= 100",
      area_min=self.area_min,
      area_max=self.area_max,
    )
    op.check(
      0 < self.aspect[0] <= self.aspect[1],
      "{aspect} must be (low, high) with 0 < low <= high",
      aspect=self.aspect,
    )

  def __call__(self, example, rng):
    y, x, part = self.draw(*op.pixels(example).shape[:2], rng)
    return self.fit(_crop(example, y, x, part))

  @property
  def is_fast(self) -> bool:
    """Whether the resize only has to be bilinear, by whatever steps."""
    return self.method == "bilinear" and not self.antialias

  def fit(
    self, example: op.Example, box: resample.Box | None = None
  ) -> op.Example:
    """The image, or the part of it in `box` if this is_fast, at `size`."""
    image, h, w = example["image"], self.size.h, self.size.w
    if box is not None:
      image = resample.resize_box(image, box, h, w)
    elif self.is_fast:
      image = resample.resize_fast(image, h, w)
    else:
      image = resample.resize(image, h, w, self.method, self.antialias)
    return {**example, "image": image}

  def draw(
    self, h: int, w: int, rng: np.random.Generator
  ) -> tuple[int, int, op.Size]:
    """Upper row, left column and size of a part of an h x w image, in px."""
    low, high = self.area_min / 100 * h * w, self.area_max / 100 * h * w
    narrow, wide = self.aspect
    for _ in range(_ATTEMPTS):
      # At once: a call of the generator takes as long as all else here.
      of_aspect, of_height, of_y, of_x = rng.random(4).tolist()
      aspect = narrow + of_aspect * (wide - narrow)
      tallest = min(round(math.sqrt(high / aspect)), h, int((w + 0.5) / aspect))
      shortest = min(round(math.sqrt(low / aspect)), tallest)
      ph = shortest + int(of_height * (tallest - shortest + 1))
      pw = round(ph * aspect)
      if ph > 0 and 0 < pw <= w and low <= ph * pw <= high:
        y, x = int(of_y * (h - ph + 1)), int(of_x * (w - pw + 1))
        return y, x, op.Size(ph, pw)
    return 0, 0, op.Size(h, w)


@dataclasses.dataclass(frozen=True)
class FlipLr(op.HostOp):
  """Left and right swapped with probability `p`."""

  p: float = 0.5

  def __post_init__(self):
    op.check(0 <= self.p <= 1, "{p} must be in [0, 1]", p=self.p)

  def __call__(self, example, rng):
    if rng.random() >= self.p:
      return example
    image = op.pixels(example)
    # A view with its pixels backwards takes 40 times as long to put into a
    # batch.
    return {**example, "image": cv2.flip(image, 1).reshape(image.shape)}


@dataclasses.dataclass(frozen=True)
class RandomShift(op.HostOp):
  """Moves the image by up to `pixels` along both axes.

  What enters is zero, or with `pad="edge"` the outermost pixel.
  """

  pixels: int
  pad: Literal["zero", "edge"] = "zero"

  def __post_init__(self):
    op.check(self.pixels > 0, "{pixels} must be > 0", pixels=self.pixels)

  def __call__(self, example, rng):
    image, p = op.pixels(example), self.pixels
    h, w, c = image.shape
    padded = cv2.copyMakeBorder(image, p, p, p, p, _BORDERS[self.pad])
    y, x = rng.integers(2 * p + 1, size=2).tolist()
    padded = padded.reshape(h + 2 * p, w + 2 * p, c)
    return {**example, "image": padded[y : y + h, x : x + w]}
