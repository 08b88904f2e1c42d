"""Several crops of one image, for objectives that compare views."""

import dataclasses

from jaxtyping import UInt8
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import geometry, op, pipeline

_NOTHING = pipeline.Pipeline(())


@dataclasses.dataclass(frozen=True)
class Multicrop(op.HostOp):
  """Two large and several small random crops of an image, each with its ops.

  "image" becomes uint8 [2, h, w, c], and the small crops are "local_images",
  uint8 [n, h, w, c]. The crops are resized bicubically with antialiasing.
  Source: section 3 of DINO, arXiv:2104.14294; names as in its published code.

  Differs from DINO in that crops are drawn as `inception_crop` draws them.

  Attributes:
    global_size: height and width of the two large crops in px.
    local_size: height and width of the small crops in px.
    local_crops_number: how many small crops; with 0 there is no "local_images".
    global_crops_scale: smallest and largest share of the image that a large
      crop covers.
    local_crops_scale: smallest and largest share that a small crop covers.
    first: ops for the first large crop, such as "flip_lr|gaussian_blur(1.0)".
    second: ops for the second large crop.
    local: ops for each small crop.
  """

  global_size: op.Size
  local_size: op.Size
  local_crops_number: int = 8
  global_crops_scale: tuple[float, float] = (0.4, 1.0)
  local_crops_scale: tuple[float, float] = (0.05, 0.4)
  first: pipeline.Pipeline = _NOTHING
  second: pipeline.Pipeline = _NOTHING
  local: pipeline.Pipeline = _NOTHING

  def __post_init__(self):
    op.check(
      self, self.local_crops_number >= 0, "{local_crops_number} must be >= 0"
    )
    for name in ("global_crops_scale", "local_crops_scale"):
      low, high = getattr(self, name)
      op.check(
        self,
        0 < low <= high <= 1,
        f"{{{name}}} must be (low, high) with 0 < low <= high <= 1",
      )
    for name in ("first", "second", "local"):
      ops = getattr(self, name)
      op.check(
        self,
        all(isinstance(o, op.HostOp) for o in ops.ops),
        f"{{{name}}} must be ops of the host: put the others behind multicrop",
      )

  def __call__(self, example, rng):
    ops = (self.first, self.second)
    scale = self.global_crops_scale
    large = _views(example, self.global_size, scale, ops, rng)
    if not self.local_crops_number:
      return {**example, "image": large}
    ops = (self.local,) * self.local_crops_number
    scale = self.local_crops_scale
    small = _views(example, self.local_size, scale, ops, rng)
    return {**example, "image": large, "local_images": small}


def _views(
  example: op.Example,
  size: op.Size,
  scale: tuple[float, float],
  ops: tuple[pipeline.Pipeline, ...],
  rng: np.random.Generator,
) -> UInt8[np.ndarray, "n h w c"]:
  """One crop for each of `ops`, changed by them."""
  crop = geometry.InceptionCrop(
    size,
    100 * scale[0],
    100 * scale[1],
    method="bicubic",
    antialias=True,
    aspect=(3 / 4, 4 / 3),
  )
  views = [o.host(crop(example, rng), rng)["image"] for o in ops]
  shapes = sorted({v.shape for v in views})
  if len(shapes) > 1:
    raise errors.ConfigError(
      "multicrop's first and second give images of different shapes"
      f" ({', '.join(map(str, shapes))}): let both keep the size"
    )
  return np.stack(views)
