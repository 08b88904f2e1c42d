"""RandAugment in the TensorFlow form that the published accuracies used.

What other implementations do differently and this one keeps:

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
from typing import Literal, NamedTuple

import cv2
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op

# What enters the image, and what Cutout leaves.
_FILL = 128
_GREY = np.array([0.2989, 0.587, 0.114], np.float32)
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32)
_SMOOTH /= np.float32(13)
_LEVELS = np.arange(256, dtype=np.float32)


def _cast(x: np.ndarray) -> np.ndarray:
  return np.clip(x, 0, 255).astype(np.uint8)


def _blend(a: np.ndarray, b: np.ndarray, factor: float) -> np.ndarray:
  """From uint8 `a` (factor 0) to uint8 `b` (1) and beyond."""
  if factor == 1:
    return b
  a, b = a.astype(np.float32), b.astype(np.float32)
  return _cast(a + np.float32(factor) * (b - a))


def _grey(image: np.ndarray) -> np.ndarray:
  """[h, w, c] -> [h, w, 1], as `tf.image.rgb_to_grayscale`."""
  if image.shape[2] == 1:
    return image
  x = image.astype(np.float32) * np.float32(1 / 255)
  grey = x[..., 0] * _GREY[0] + x[..., 1] * _GREY[1] + x[..., 2] * _GREY[2]
  # Half a level more than 255, so that cutting off gives grey pixels back.
  return (grey * np.float32(255.5)).astype(np.uint8)[..., None]


def _by_channel(
  image: np.ndarray, table: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
  """Every channel through the look-up table [256] of that channel [h, w]."""
  channels = [image[..., c] for c in range(image.shape[2])]
  return np.stack([table(x)[x] for x in channels], axis=-1)


def _autocontrast(image: np.ndarray, _: float) -> np.ndarray:
  def table(x):
    low, high = np.float32(x.min()), np.float32(x.max())
    if low == high:
      return _LEVELS.astype(np.uint8)
    scale = np.float32(255) / (high - low)
    return _cast(_LEVELS * scale - low * scale)

  return _by_channel(image, table)


def _equalize(image: np.ndarray, _: float) -> np.ndarray:
  def table(x):
    counts = np.bincount(x.ravel(), minlength=256)
    step = (counts.sum() - counts[x.max()]) // 255
    if step == 0:
      return _LEVELS.astype(np.uint8)
    below = np.concatenate([[0], (counts.cumsum() + step // 2)[:-1] // step])
    return _cast(below)

  return _by_channel(image, table)


def _invert(image: np.ndarray, _: float) -> np.ndarray:
  return 255 - image


def _posterize(image: np.ndarray, bits: float) -> np.ndarray:
  # A shift by a uint8, which TensorFlow limits to 7.
  shift = min((8 - int(bits)) % 256, 7)
  return image >> shift << shift


def _solarize(image: np.ndarray, threshold: float) -> np.ndarray:
  return np.where(image < int(threshold) % 256, image, 255 - image)


def _solarize_add(image: np.ndarray, addition: float) -> np.ndarray:
  added = _cast(image.astype(np.int64) + int(addition))
  return np.where(image < 128, added, image)


def _color(image: np.ndarray, factor: float) -> np.ndarray:
  return _blend(_grey(image), image, factor)


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
  h, w = image.shape[:2]
  return _blend(_cast(np.float32(h * w / 256)), image, factor)


def _contrast_by_mean(image: np.ndarray, factor: float) -> np.ndarray:
  return _blend(_cast(_grey(image).mean()), image, factor)


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
  return _blend(np.zeros_like(image), image, factor)


def _sharpness(image: np.ndarray, factor: float) -> np.ndarray:
  h, w = image.shape[:2]
  # TensorFlow fuses multiply and add, OpenCV only in whole vectors; with the
  # other rounding some greys of flat areas would become one less.
  x = np.pad(image.astype(np.float32), ((0, 0), (0, 16 - w % 16), (0, 0)))
  smooth = cv2.filter2D(x, cv2.CV_32F, _SMOOTH).reshape(x.shape)
  blurred = image.copy()
  blurred[1:-1, 1:-1] = _cast(smooth[1 : h - 1, 1 : w - 1])
  return _blend(blurred, image, factor)


def _warp(
  image: np.ndarray,
  x_from: tuple[float, float, float],
  y_from: tuple[float, float, float],
) -> np.ndarray:
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


def _half_away(x: np.ndarray) -> np.ndarray:
  """To the nearest integer, halves away from zero (as C's round)."""
  # In float64, where adding a half to a float32 is exact.
  return np.trunc(x + np.copysign(np.float64(0.5), x)).astype(np.int64)


def _rotate(image: np.ndarray, degrees: float) -> np.ndarray:
  y, x = (side - 1 for side in image.shape[:2])
  angle = np.float32(math.radians(degrees))
  cos, sin = np.cos(angle), np.sin(angle)
  dx = (x - (cos * x - sin * y)) / 2
  dy = (y - (sin * x + cos * y)) / 2
  return _warp(image, (cos, -sin, dx), (sin, cos, dy))


def _shear_x(image: np.ndarray, level: float) -> np.ndarray:
  return _warp(image, (1, level, 0), (0, 1, 0))


def _shear_y(image: np.ndarray, level: float) -> np.ndarray:
  return _warp(image, (1, 0, 0), (level, 1, 0))


def _translate_x(image: np.ndarray, pixels: float) -> np.ndarray:
  return _warp(image, (1, 0, pixels), (0, 1, 0))


def _translate_y(image: np.ndarray, pixels: float) -> np.ndarray:
  return _warp(image, (1, 0, 0), (0, 1, pixels))


def cutout(image: np.ndarray, reach: int, y: int, x: int) -> np.ndarray:
  """Grey in all pixels less than about `reach` from (y, x) on both axes."""
  out = image.copy()
  top, left = max(y - reach, 0), max(x - reach, 0)
  out[top : y + reach, left : x + reach] = _FILL
  return out


# [h, w, c] uint8 and the argument (0 where there is none) to the same shape.
OPS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
  "AutoContrast": _autocontrast,
  "Equalize": _equalize,
  "Invert": _invert,
  "Rotate": _rotate,
  "Posterize": _posterize,
  "Solarize": _solarize,
  "Color": _color,
  "Contrast": _contrast,
  "Brightness": _brightness,
  "Sharpness": _sharpness,
  "ShearX": _shear_x,
  "ShearY": _shear_y,
  "TranslateX": _translate_x,
  "TranslateY": _translate_y,
  "SolarizeAdd": _solarize_add,
}
_NAMES = (*OPS, "Cutout")
_SIGNED = frozenset({"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"})
_ENHANCE = frozenset({"Color", "Contrast", "Brightness", "Sharpness"})
# Argument at magnitude 10; whole numbers stay whole (cut off).
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
class Randaug(op.HostOp):
  """`num_layers` ops drawn from 16, each at `magnitude` (see the module).

  Magnitude 0 is not the identity: the colour ops blend with factor 0.1.

  Attributes:
    num_layers: ops an image.
    magnitude: 10 is the full range; the published recipes go to 20.
    contrast: what Contrast blends with: "pixel_count" / 256, as published,
      or the "mean" grey value, as meant.
  """

  num_layers: int
  magnitude: int
  contrast: Literal["pixel_count", "mean"] = "pixel_count"

  def __post_init__(self):
    op.check(
      self.num_layers > 0,
      "{num_layers} must be > 0; leave randaug out for none",
      num_layers=self.num_layers,
    )
    op.check(
      0 <= self.magnitude <= 30,
      "{magnitude} must be in [0, 30]",
      magnitude=self.magnitude,
    )

  def __call__(self, example, rng):
    image = op.pixels(example)
    for _ in range(self.num_layers):
      name = _NAMES[int(rng.integers(len(_NAMES)))]
      image = self._apply(name, image, rng)
    return {**example, "image": image}

  def _apply(
    self, name: str, image: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    value = argument(name, self.magnitude)
    if name == "Cutout":
      y, x = (int(rng.integers(side)) for side in image.shape[:2])
      return cutout(image, int(value), y, x)
    if name in _SIGNED and rng.random() < 0.5:
      value = -value
    if name == "Contrast" and self.contrast == "mean":
      return _contrast_by_mean(image, value)
    return OPS[name](image, value)


class Preset(NamedTuple):
  """An augmentation setting of AugReg.

  Attributes:
    num_layers: of randaug; 0 is no randaug.
    magnitude: of randaug.
    mixup: p of Beta(p, p) that mixup draws its weight from; 0 is off.
  """

  num_layers: int
  magnitude: int
  mixup: float

  @property
  def ops(self) -> str:
    """What to add to a preprocess string: "|randaug(2, 15)", or nothing."""
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
