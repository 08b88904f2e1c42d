"""Rectangles of an image erased: uint8 [h, w, c] on the host."""

import dataclasses
import math
from typing import Literal

import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op

_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True)
class RandomErasing(op.HostOp):
  """With `probability`, up to `count` rectangles of another colour.

  timm's `RandomErasing` with its arguments (arXiv:1708.04896). The areas are
  shares of the image, divided by the number of rectangles; height / width is
  within [min_aspect, 1 / min_aspect], uniform in its logarithm.

  Differs from timm in that it runs before the pixels are normalised: its zero
  is `mean` here, its unit `std`, and what leaves 0..255 is cut off.

  Attributes:
    probability: that anything is erased.
    min_area: smallest share of the image.
    max_area: largest share of the image.
    min_aspect: smallest height / width.
    mode: "const" is the mean, "rand" one normal colour a rectangle, "pixel"
      one a pixel.
    count: most rectangles an image.
    mean: colour that the normalisation takes off; one number is for every
      channel.
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
      0 <= self.probability <= 1,
      "{probability} must be in [0, 1]",
      probability=self.probability,
    )
    op.check(
      0 < self.min_area <= self.max_area <= 1,
      "{min_area} and {max_area} must be shares of the image, 0 < min_area <="
      " max_area <= 1",
      min_area=self.min_area,
      max_area=self.max_area,
    )
    op.check(
      0 < self.min_aspect <= 1,
      "{min_aspect} must be in (0, 1]",
      min_aspect=self.min_aspect,
    )
    op.check(self.count > 0, "{count} must be > 0", count=self.count)
    op.check(
      len(self.mean) == len(self.std) > 0 and min(self.std) >= 0,
      "{mean} and {std} must have one number >= 0 for each channel",
      mean=self.mean,
      std=self.std,
    )

  def __call__(self, example, rng):
    if rng.random() >= self.probability:
      return example
    image = op.pixels(example).copy()
    channels = image.shape[2]
    if len(self.mean) not in {1, channels}:
      raise errors.ConfigError(
        f"random_erasing has {len(self.mean)} channels, the image {channels}:"
        " give mean and std one number for each"
      )
    count = int(rng.integers(1, self.count + 1))
    for _ in range(count):
      h, w = self._size(*image.shape[:2], count, rng)
      y = int(rng.integers(image.shape[0] - h + 1))
      x = int(rng.integers(image.shape[1] - w + 1))
      image[y : y + h, x : x + w] = self._colours(h, w, channels, rng)
    return {**example, "image": image}

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
  ) -> np.ndarray:
    """uint8, [h, w, channels] or to be repeated to it."""
    noise = 0.0
    if self.mode != "const":
      sides = (h, w) if self.mode == "pixel" else (1, 1)
      noise = rng.standard_normal((*sides, channels))
    x = 255 * (np.asarray(self.mean) + noise * np.asarray(self.std))
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)
