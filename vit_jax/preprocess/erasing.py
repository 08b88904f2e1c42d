"""Rectangles of an image erased."""

import dataclasses
import math
from typing import Literal

from jaxtyping import UInt8
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op

_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True)
class RandomErasing(op.ImageOp):
  """Up to `count` rectangles painted over, with some probability.

  An area is a share of the image divided by the number of rectangles; height /
  width is within [min_aspect, 1 / min_aspect], uniform in its logarithm.
  Source: arXiv:1708.04896 as timm's `RandomErasing`, with its arguments.

  Differs from timm in that it runs before the pixels are normalised: its zero
  is `mean` here, its unit `std`, and what leaves 0..255 is cut off.

  Attributes:
    probability: probability that anything is erased.
    min_area: the smallest share of the image.
    max_area: the largest share of the image.
    min_aspect: the smallest height / width.
    mode: "const" paints the mean colour, "rand" one normally distributed colour
      for each rectangle, "pixel" one for each pixel.
    count: the largest number of rectangles in an image.
    mean: the colour that the normalisation subtracts, for each channel or one
      number for all.
    std: what the normalisation divides by, likewise.
  """

  probability: float = 0.5
  min_area: float = 0.02
  max_area: float = 1 / 3
  min_aspect: float = 0.3
  mode: Literal["const", "rand", "pixel"] = "const"
  count: int = 1
  mean: tuple[float, ...] = (0.485, 0.456, 0.406)
  std: tuple[float, ...] = (0.229, 0.224, 0.225)

  def __post_init__(self):
    op.check(
      self, 0 <= self.probability <= 1, "{probability} must be in [0, 1]"
    )
    op.check(
      self,
      0 < self.min_area <= self.max_area <= 1,
      "{min_area} and {max_area} must be shares of the image, 0 < min_area <="
      " max_area <= 1",
    )
    op.check(self, 0 < self.min_aspect <= 1, "{min_aspect} must be in (0, 1]")
    op.check(self, self.count > 0, "{count} must be > 0")
    op.check(
      self,
      len(self.mean) == len(self.std) > 0 and min(self.std) >= 0,
      "{mean} and {std} must have one number >= 0 for each channel",
    )

  def change(self, image, rng):
    if rng.random() >= self.probability:
      return image
    image = image.copy()
    height, width, channels = image.shape
    if len(self.mean) not in {1, channels}:
      raise errors.ConfigError(
        f"random_erasing has {len(self.mean)} channels, the image {channels}:"
        " give mean and std one number for each"
      )
    count = int(rng.integers(1, self.count + 1))
    for _ in range(count):
      h, w = self._size(height, width, count, rng)
      y = int(rng.integers(height - h + 1))
      x = int(rng.integers(width - w + 1))
      image[y : y + h, x : x + w] = self._colours(h, w, channels, rng)
    return image

  def _size(
    self, h: int, w: int, count: int, rng: np.random.Generator
  ) -> tuple[int, int]:
    """Height and width of a rectangle; (0, 0) when no attempt fits."""
    widest = abs(math.log(self.min_aspect))
    for _ in range(_ATTEMPTS):
      area = rng.uniform(self.min_area, self.max_area) * h * w / count
      aspect = math.exp(rng.uniform(-widest, widest))
      eh = round(math.sqrt(area * aspect))
      ew = round(math.sqrt(area / aspect))
      if eh < h and ew < w:
        return eh, ew
    return 0, 0

  def _colours(
    self, h: int, w: int, channels: int, rng: np.random.Generator
  ) -> UInt8[np.ndarray, "..."]:
    """Colours of a rectangle, to be broadcast to [h, w, channels]."""
    noise = 0.0
    if self.mode != "const":
      sides = (h, w) if self.mode == "pixel" else (1, 1)
      noise = rng.standard_normal((*sides, channels))
    x = 255 * (np.asarray(self.mean) + noise * np.asarray(self.std))
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)
