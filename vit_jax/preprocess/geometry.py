"""Resizes, crops, flips and shifts."""

from collections.abc import Callable
import dataclasses
import math
from typing import Literal

import cv2
from jaxtyping import UInt8
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op, resample

_ATTEMPTS = 100
_MAX_PIXELS = 100_000_000
_BORDERS = {"zero": cv2.BORDER_CONSTANT, "edge": cv2.BORDER_REPLICATE}
# What becomes of a fraction of a pixel; halves go to the even number.
Rounding = Literal["down", "nearest"]


def _check_method(o: "Resize | ResizeSmall | InceptionCrop") -> None:
  op.check(
    o,
    not o.antialias or o.method in {"bilinear", "bicubic"},
    "{antialias} is for a kernel that can be widened (bilinear, bicubic),"
    f" not for method={o.method!r}"
    + (
      ", which Pillow widens by itself"
      if o.method.startswith(resample.PILLOW)
      else ""
    ),
  )


def _check_ratio(image: op.Image, h: int, w: int) -> None:
  """Raises a DataError if `image`, which is long and narrow, gets too large."""
  if h * w > _MAX_PIXELS:
    h0, w0, _ = image.shape
    raise errors.DataError(
      f"an image of {h0} x {w0} px becomes {h} x {w} = {h * w} pixels where its"
      f" smaller side is resized, more than {_MAX_PIXELS}; remove the record"
    )


def _crop(
  example: op.Example,
  size: op.Size,
  name: str,
  corner: Callable[[int, int], tuple[int, int]],
) -> op.Example:
  """A crop of an op `name`; `corner` gets the largest row and column for it."""
  image = op.pixels(example)
  h, w, _ = image.shape
  if h < size.h or w < size.w:
    raise errors.DataError(
      f"record {example['id']}: the image is {h} x {w}, too small for"
      f" {name}({size}); put resize_small({max(size.h, size.w)}) before it"
    )
  y, x = corner(h - size.h, w - size.w)
  return {**example, "image": image[y : y + size.h, x : x + size.w]}


@dataclasses.dataclass(frozen=True)
class Resize(op.ImageOp):
  """The whole image resized to `size`, whatever its aspect ratio.

  Attributes:
    size: height and width in px.
    method: the kernel; see `resample.resize`.
    antialias: whether the kernel is widened when the image shrinks.
  """

  size: op.Size
  method: resample.Method = "bilinear"
  antialias: bool = False

  def __post_init__(self):
    _check_method(self)

  def change(self, image, rng):
    return resample.resize(
      image, self.size.h, self.size.w, self.method, self.antialias
    )


@dataclasses.dataclass(frozen=True)
class ResizeSmall(op.ImageOp):
  """The image resized to a given smaller side, with its aspect ratio kept.

  Attributes:
    smaller_size: the smaller side of the result in px.
    method: the kernel; see `resample.resize`.
    antialias: whether the kernel is widened when the image shrinks.
  """

  smaller_size: int
  method: resample.Method = "area"
  antialias: bool = False

  def __post_init__(self):
    op.check(self, self.smaller_size > 0, "{smaller_size} must be > 0 px")
    _check_method(self)

  def change(self, image, rng):
    # In float32 and half to even, as published: the sizes decide the crop.
    sides = np.asarray(image.shape[:2], np.float32)
    sides = np.round(sides * (np.float32(self.smaller_size) / sides.min()))
    h, w = map(int, sides)
    _check_ratio(image, h, w)
    return resample.resize(image, h, w, self.method, self.antialias)


@dataclasses.dataclass(frozen=True)
class ResizeKeepRatio(Resize):
  """The image resized until it covers `size`, or fits into it.

  `size`, `method` and `antialias` are those of `Resize`. The aspect ratio is
  kept, and one of the sides is then that of `size`. With a square `size` and
  sides rounded down this is torchvision's `Resize` of the shorter side and
  transformers' `shortest_edge`; with sides rounded to the nearest it is timm's
  `ResizeKeepRatio`.

  Differs from `resize_small` in how sides are rounded, and in that `size` can
  be any rectangle.

  Attributes:
    fit: "cover" for no side smaller than that of `size`, "inside" for none
      that is larger.
    rounding: how the other side is rounded: "down", or to the "nearest" pixel.
  """

  fit: Literal["cover", "inside"] = "cover"
  rounding: Rounding = "down"

  def change(self, image, rng):
    h, w = self._sides(*image.shape[:2])
    _check_ratio(image, h, w)
    return resample.resize(image, h, w, self.method, self.antialias)

  def _sides(self, h: int, w: int) -> tuple[int, int]:
    """Height and width of the result for an image of h x w px."""
    is_taller = h * self.size.w > w * self.size.h
    height_decides = is_taller == (self.fit == "inside")
    if self.rounding == "nearest":
      # In the steps of timm, as a rounded quotient decides about halves.
      ratio = h / self.size.h if height_decides else w / self.size.w
      return max(round(h / ratio), 1), max(round(w / ratio), 1)
    if height_decides:
      return self.size.h, max(w * self.size.h // h, 1)
    return max(h * self.size.w // w, 1), self.size.w


@dataclasses.dataclass(frozen=True)
class CentralCrop(op.HostOp):
  """The central `crop_size` pixels.

  Attributes:
    crop_size: height and width in px.
    rounding: how half a pixel of the upper and left margin is rounded: "down"
      as in big_vision and transformers, "nearest" as in torchvision.
    fill: a number for each channel, which fills the margins where the image is
      smaller than the crop; such an image is refused if `fill` is empty.
  """

  crop_size: op.Size
  rounding: Rounding = "down"
  fill: tuple[int, ...] = ()

  def __post_init__(self):
    op.check(
      self,
      all(0 <= x <= 255 for x in self.fill),
      "{fill} must be pixel values in [0, 255]",
    )

  def __call__(self, example, rng):
    if self.fill:
      example = {**example, "image": self._filled(op.pixels(example))}
    return _crop(
      example,
      self.crop_size,
      "central_crop",
      lambda y, x: (self._margin(y), self._margin(x)),
    )

  def _margin(self, total: int) -> int:
    return round(total / 2) if self.rounding == "nearest" else total // 2

  def _filled(self, image: op.Image) -> op.Image:
    """The image with margins, as large as the crop or larger."""
    h, w, c = image.shape
    if len(self.fill) != c:
      raise errors.ConfigError(
        f"central_crop.fill={self.fill} has {len(self.fill)} channels, the"
        f" image {c}: give one number for each"
      )
    rows, columns = max(self.crop_size.h - h, 0), max(self.crop_size.w - w, 0)
    # transformers pads the odd pixel first, torchvision last.
    odd = 0 if self.rounding == "nearest" else 1
    y, x = (rows + odd) // 2, (columns + odd) // 2
    out = np.empty((h + rows, w + columns, c), np.uint8)
    out[:] = self.fill
    out[y : y + h, x : x + w] = image
    return out


@dataclasses.dataclass(frozen=True)
class RandomCrop(op.HostOp):
  """`crop_size` pixels from anywhere, every place equally likely."""

  crop_size: op.Size

  def __call__(self, example, rng):
    return _crop(
      example,
      self.crop_size,
      "random_crop",
      lambda y, x: (int(rng.integers(y + 1)), int(rng.integers(x + 1))),
    )


@dataclasses.dataclass(frozen=True)
class InceptionCrop(op.ImageOp):
  """A random part of the image, resized to `size`.

  The height of the part is uniform between what the limits on area and aspect
  allow. The whole image is taken when none of 100 attempts fits. Source: the
  training crop of arXiv:1409.4842, section 6, drawn like TensorFlow's
  `sample_distorted_bounding_box`; arguments as in big_vision, and `aspect`.

  Differs from TensorFlow in that the last row and column can be reached, and
  in that less than 1 % of the values are off by one level (bilinear).

  Attributes:
    size: height and width of the result in px.
    area_min: the smallest area of the part, in percent of the image.
    area_max: the largest area of the part, in percent of the image.
    method: the kernel; see `resample.resize`.
    antialias: whether the kernel is widened when the part shrinks.
    aspect: the smallest and the largest width / height of the part.
  """

  size: op.Size
  area_min: float = 5.0
  area_max: float = 100.0
  method: resample.Method = "bilinear"
  antialias: bool = False
  aspect: tuple[float, float] = (0.75, 1.33)

  def __post_init__(self):
    _check_method(self)
    op.check(
      self,
      0 < self.area_min <= self.area_max <= 100,
      "{area_min} and {area_max} are percent: 0 < area_min <= area_max <= 100",
    )
    op.check(
      self,
      0 < self.aspect[0] <= self.aspect[1],
      "{aspect} must be (low, high) with 0 < low <= high",
    )

  def change(self, image, rng):
    h, w, _ = image.shape
    y, x, part = self.draw(h, w, rng)
    return self.fit(image[y : y + part.h, x : x + part.w])

  @property
  def is_fast(self) -> bool:
    """Whether the resize only has to be bilinear, by whatever steps."""
    return self.method == "bilinear" and not self.antialias

  def fit(
    self, image: op.Image, box: resample.Box | None = None
  ) -> UInt8[np.ndarray, "{self.size.h} {self.size.w} c"]:
    """The image at `size`, or if `is_fast` the part of it in `box`."""
    h, w = self.size.h, self.size.w
    if box is not None:
      return resample.resize_box(image, box, h, w)
    if self.is_fast:
      return resample.resize_fast(image, h, w)
    return resample.resize(image, h, w, self.method, self.antialias)

  def draw(
    self, h: int, w: int, rng: np.random.Generator
  ) -> tuple[int, int, op.Size]:
    """Upper row, left column and size of a part of an h x w image, in px."""
    low, high = self.area_min / 100 * h * w, self.area_max / 100 * h * w
    narrow, wide = self.aspect
    for _ in range(_ATTEMPTS):
      # In one call, as a call of the generator takes as long as all the rest.
      r_aspect, r_height, r_y, r_x = rng.random(4).tolist()
      aspect = narrow + r_aspect * (wide - narrow)
      tallest = min(round(math.sqrt(high / aspect)), h, int((w + 0.5) / aspect))
      shortest = min(round(math.sqrt(low / aspect)), tallest)
      ph = shortest + int(r_height * (tallest - shortest + 1))
      pw = round(ph * aspect)
      if ph > 0 and 0 < pw <= w and low <= ph * pw <= high:
        y, x = int(r_y * (h - ph + 1)), int(r_x * (w - pw + 1))
        return y, x, op.Size(ph, pw)
    return 0, 0, op.Size(h, w)


@dataclasses.dataclass(frozen=True)
class FlipLr(op.RandomOp):
  """Left and right swapped with probability `p`."""

  p: float = 0.5

  def apply(self, image, rng):
    # Copying a view with its pixels backwards into a batch takes 40 times as
    # long.
    return cv2.flip(image, 1).reshape(image.shape)


@dataclasses.dataclass(frozen=True)
class RandomShift(op.ImageOp):
  """Moves the image by up to `pixels` along both axes.

  The pixels that enter are `pad`: "zero", or "edge" for the outermost pixel.
  """

  pixels: int
  pad: Literal["zero", "edge"] = "zero"

  def __post_init__(self):
    op.check(self, self.pixels > 0, "{pixels} must be > 0")

  def change(self, image, rng):
    (h, w, c), p = image.shape, self.pixels
    padded = cv2.copyMakeBorder(image, p, p, p, p, _BORDERS[self.pad])
    y, x = rng.integers(2 * p + 1, size=2).tolist()
    padded = padded.reshape(h + 2 * p, w + 2 * p, c)
    return padded[y : y + h, x : x + w]
