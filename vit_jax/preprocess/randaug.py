"""RandAugment in the TensorFlow form that the published accuracies used.

Unlike other implementations it keeps the following:

- Each layer draws one of the 16 ops and always applies it, at full and fixed
  magnitude; magnitudes above 10 extrapolate.
- Contrast blends with the number of pixels / 256, not with the mean grey.
- Solarize compares uint8 values: its threshold wraps at 256, so magnitudes 10
  and 20 invert the whole image, as magnitude 0 does.
- Posterize keeps at least one bit.
- Blends and means are cut off, not rounded, to uint8.

Source: arXiv:1909.13719, as in google-research/big_vision.
"""

from collections.abc import Callable
import dataclasses
import math
from typing import Literal, NamedTuple, SupportsFloat

import cv2
from jaxtyping import Float, Int, Num, UInt8
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op

# The grey of pixels that a warp brings in or Cutout erases.
_FILL = 128
_GREY = np.array([0.2989, 0.587, 0.114], np.float32)
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32)
_SMOOTH /= np.float32(13)
_LEVELS = np.arange(256, dtype=np.float32)


def _cast(x: Num[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
  return np.clip(x, 0, 255).astype(np.uint8)


def _blend(
  a: UInt8[np.ndarray, "*#hwc"], b: op.Image, factor: float
) -> op.Image:
  """`a` at factor 0, `b` at 1, extrapolated above 1."""
  if factor == 1:
    return b
  a, b = a.astype(np.float32), b.astype(np.float32)
  return _cast(a + np.float32(factor) * (b - a))


def _grey(image: op.Image) -> UInt8[np.ndarray, "h w 1"]:
  """As `tf.image.rgb_to_grayscale`."""
  if image.shape[2] == 1:
    return image
  x = image.astype(np.float32) * np.float32(1 / 255)
  grey = x[..., 0] * _GREY[0] + x[..., 1] * _GREY[1] + x[..., 2] * _GREY[2]
  # Half a level more than 255, so that cutting off gives grey pixels back.
  return (grey * np.float32(255.5)).astype(np.uint8)[..., None]


def _by_channel(
  image: op.Image,
  table: Callable[[UInt8[np.ndarray, "h w"]], UInt8[np.ndarray, "256"]],
) -> op.Image:
  """Each channel mapped through the look-up table that `table` makes of it."""
  channels = [image[..., c] for c in range(image.shape[2])]
  return np.stack([table(x)[x] for x in channels], axis=-1)


def _autocontrast(image: op.Image, _: float) -> op.Image:
  def table(x):
    low, high = np.float32(x.min()), np.float32(x.max())
    if low == high:
      return _LEVELS.astype(np.uint8)
    scale = np.float32(255) / (high - low)
    return _cast(_LEVELS * scale - low * scale)

  return _by_channel(image, table)


def _equalize(image: op.Image, _: float) -> op.Image:
  def table(x):
    counts = np.bincount(x.ravel(), minlength=256)
    step = (counts.sum() - counts[x.max()]) // 255
    if step == 0:
      return _LEVELS.astype(np.uint8)
    below = np.concatenate([[0], (counts.cumsum() + step // 2)[:-1] // step])
    return _cast(below)

  return _by_channel(image, table)


def _posterize(image: op.Image, bits: float) -> op.Image:
  # A shift by a uint8, which TensorFlow limits to 7.
  shift = min((8 - int(bits)) % 256, 7)
  return image >> shift << shift


def _solarize(image: op.Image, threshold: float) -> op.Image:
  return np.where(image < int(threshold) % 256, image, 255 - image)


def _solarize_add(image: op.Image, addition: float) -> op.Image:
  added = _cast(image.astype(np.int64) + int(addition))
  return np.where(image < 128, added, image)


def _contrast(image: op.Image, factor: float) -> op.Image:
  h, w = image.shape[:2]
  return _blend(
    _cast(np.full((1, 1, 1), h * w / 256, np.float32)), image, factor
  )


def _sharpness(image: op.Image, factor: float) -> op.Image:
  h, w = image.shape[:2]
  # TensorFlow fuses multiply and add, OpenCV only in whole vectors; with the
  # other rounding some greys of flat areas would become one less.
  x = np.pad(image.astype(np.float32), ((0, 0), (0, 16 - w % 16), (0, 0)))
  smooth = cv2.filter2D(x, cv2.CV_32F, _SMOOTH).reshape(x.shape)
  blurred = image.copy()
  blurred[1:-1, 1:-1] = _cast(smooth[1 : h - 1, 1 : w - 1])
  return _blend(blurred, image, factor)


_Weights = tuple[SupportsFloat, SupportsFloat, SupportsFloat]


def _warp(image: op.Image, x_from: _Weights, y_from: _Weights) -> op.Image:
  """The nearest pixel at x = a x + b y + c for (a, b, c), and y likewise."""
  h, w = image.shape[:2]
  x = np.arange(w, dtype=np.float32)
  y = np.arange(h, dtype=np.float32)[:, None]
  at_x, at_y = (
    _half_away(np.float32(a) * x + np.float32(b) * y + np.float32(c))
    for a, b, c in (x_from, y_from)
  )
  inside = (at_x >= 0) & (at_x < w) & (at_y >= 0) & (at_y < h)
  out = np.full_like(image, _FILL)
  out[inside] = image[at_y[inside], at_x[inside]]
  return out


def _half_away(x: Float[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
  """The nearest integer, with halves rounded away from zero (as C's round)."""
  # In float64, where adding a half to a float32 is exact.
  return np.trunc(x + np.copysign(np.float64(0.5), x)).astype(np.int64)


def _rotate(image: op.Image, degrees: float) -> op.Image:
  y, x = (side - 1 for side in image.shape[:2])
  angle = np.float32(math.radians(degrees))
  cos, sin = np.cos(angle), np.sin(angle)
  dx = (x - (cos * x - sin * y)) / 2
  dy = (y - (sin * x + cos * y)) / 2
  return _warp(image, (cos, -sin, dx), (sin, cos, dy))


def cutout(image: op.Image, reach: int, y: int, x: int) -> op.Image:
  """The image, grey where both axes are within about `reach` px of (y, x)."""
  out = image.copy()
  top, left = max(y - reach, 0), max(x - reach, 0)
  out[top : y + reach, left : x + reach] = _FILL
  return out


# Each from an image and the argument (0 where there is none) to the image.
OPS: dict[str, Callable[[op.Image, float], op.Image]] = {
  "AutoContrast": _autocontrast,
  "Equalize": _equalize,
  "Invert": lambda image, _: 255 - image,
  "Rotate": _rotate,
  "Posterize": _posterize,
  "Solarize": _solarize,
  "Color": lambda image, factor: _blend(_grey(image), image, factor),
  "Contrast": _contrast,
  "Brightness": lambda image, factor: _blend(
    np.zeros_like(image), image, factor
  ),
  "Sharpness": _sharpness,
  "ShearX": lambda image, level: _warp(image, (1, level, 0), (0, 1, 0)),
  "ShearY": lambda image, level: _warp(image, (1, 0, 0), (level, 1, 0)),
  "TranslateX": lambda image, px: _warp(image, (1, 0, px), (0, 1, 0)),
  "TranslateY": lambda image, px: _warp(image, (1, 0, 0), (0, 1, px)),
  "SolarizeAdd": _solarize_add,
}
_NAMES = (*OPS, "Cutout")
_SIGNED = frozenset({"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"})
_ENHANCE = frozenset({"Color", "Contrast", "Brightness", "Sharpness"})
# Argument at magnitude 10. An int stays one at other magnitudes (cut off).
_AT_TEN: dict[str, float] = {
  "Rotate": 30.0,
  "Posterize": 4,
  "Solarize": 256,
  "SolarizeAdd": 110,
  "Cutout": 40,
  "ShearX": 0.3,
  "ShearY": 0.3,
  "TranslateX": 100.0,
  "TranslateY": 100.0,
}


def argument(name: str, magnitude: float) -> float:
  """The argument of an op without its sign; 0 where it has none."""
  if name in _ENHANCE:
    return magnitude / 10 * 1.8 + 0.1
  at_ten = _AT_TEN.get(name, 0)
  value = magnitude / 10 * at_ten
  return int(value) if isinstance(at_ten, int) else value


@dataclasses.dataclass(frozen=True)
class Randaug(op.ImageOp):
  """`num_layers` ops drawn from 16, each at `magnitude` (see the module).

  Magnitude 0 is not the identity: the colour ops blend with factor 0.1.

  Attributes:
    num_layers: how many ops are applied to an image.
    magnitude: 10 is the full range; the published recipes go to 20.
    contrast: what Contrast blends with: "pixel_count" (/ 256, as published) or
      the "mean" grey value (as intended).
  """

  num_layers: int
  magnitude: int
  contrast: Literal["pixel_count", "mean"] = "pixel_count"

  def __post_init__(self):
    op.check(
      self,
      self.num_layers > 0,
      "{num_layers} must be > 0; leave randaug out for none",
    )
    op.check(self, 0 <= self.magnitude <= 30, "{magnitude} must be in [0, 30]")

  def change(self, image, rng):
    for _ in range(self.num_layers):
      name = _NAMES[int(rng.integers(len(_NAMES)))]
      image = self._apply(name, image, rng)
    return image

  def _apply(
    self, name: str, image: op.Image, rng: np.random.Generator
  ) -> op.Image:
    value = argument(name, self.magnitude)
    if name == "Cutout":
      y, x = (int(rng.integers(side)) for side in image.shape[:2])
      return cutout(image, int(value), y, x)
    if name in _SIGNED and rng.random() < 0.5:
      value = -value
    if name == "Contrast" and self.contrast == "mean":
      return _blend(_cast(_grey(image).mean(keepdims=True)), image, value)
    return OPS[name](image, value)


class Preset(NamedTuple):
  """An augmentation setting of AugReg.

  Attributes:
    num_layers: randaug's argument; 0 leaves randaug out.
    magnitude: randaug's argument.
    mixup: the p of Beta(p, p), from which mixup draws its weight; 0 is off.
  """

  num_layers: int
  magnitude: int
  mixup: float

  @property
  def ops(self) -> str:
    """What a preprocess string gets added: "|randaug(2, 15)", or nothing."""
    if not self.num_layers:
      return ""
    return f"|randaug({self.num_layers}, {self.magnitude})"


# Section 3.3, arXiv:2106.10270. The published files call light1 and light2
# "light0" and "light1".
PRESETS = {
  "none": Preset(0, 0, 0.0),
  "light1": Preset(2, 0, 0.0),
  "light2": Preset(2, 10, 0.2),
  "medium1": Preset(2, 15, 0.2),
  "medium2": Preset(2, 15, 0.5),
  "strong1": Preset(2, 20, 0.5),
  "strong2": Preset(2, 20, 0.8),
}


def preset(name: str) -> Preset:
  """AugReg's setting of that name.

  A config writes `aug = randaug.preset("medium2")`, adds `aug.ops` to its
  preprocess string and sets `c.task.mixup = aug.mixup`.

  Raises:
    ConfigError: there is no such setting.
  """
  if name not in PRESETS:
    raise errors.ConfigError(
      f"unknown augmentation preset {name}{errors.did_you_mean(name, PRESETS)}"
      f" (presets: {', '.join(PRESETS)})"
    )
  return PRESETS[name]
