"""Pixel values from uint8 to float32, on the device."""

from collections.abc import Callable
import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from vit_jax.core import errors
from vit_jax.preprocess import op

# The features that hold pixels.
_IMAGES = ("image", "local_images")
# "crops" is there behind `multicrop` alone.
Pixels = Float[Array, "B *crops h w c"]


def _from_unit(
  batch: op.Example, change: Callable[[Pixels], Pixels]
) -> op.Example:
  """The batch with `change` applied to its images as float32 in [0, 1]."""
  changed = {}
  for key in _IMAGES:
    if key not in batch:
      continue
    image = batch[key]
    if image.dtype != jnp.uint8:
      raise errors.ConfigError(
        f"the image is {image.dtype} already: keep one of value_range and"
        " normalise in the preprocess string"
      )
    changed[key] = change(image.astype(jnp.float32) / 255)
  return {**batch, **changed}


@dataclasses.dataclass(frozen=True)
class ValueRange(op.DeviceOp):
  """Pixel 0 becomes `vmin`, pixel 255 becomes `vmax`."""

  vmin: float
  vmax: float

  def __post_init__(self):
    op.check(self, self.vmin < self.vmax, "{vmin} must be < {vmax}")

  def __call__(self, batch):
    return _from_unit(batch, lambda x: self.vmin + (self.vmax - self.vmin) * x)


@dataclasses.dataclass(frozen=True)
class Normalise(op.DeviceOp):
  """(pixel / 255 - `mean`) / `std`, with one number for each channel."""

  mean: tuple[float, ...]
  std: tuple[float, ...]

  def __post_init__(self):
    op.check(
      self,
      len(self.mean) == len(self.std) > 0,
      "{mean} and {std} must have one number for each channel",
    )
    op.check(self, min(self.std) > 0, "{std} must be > 0")

  def __call__(self, batch):
    return _from_unit(batch, self._normalise)

  def _normalise(self, image: Pixels) -> Pixels:
    if image.shape[-1] != len(self.mean):
      raise errors.ConfigError(
        f"normalise has {len(self.mean)} channels, the image"
        f" {image.shape[-1]}: give mean and std one number for each"
      )
    mean, std = (
      jnp.asarray(v, jnp.float32).reshape((1,) * (image.ndim - 1) + (-1,))
      for v in (self.mean, self.std)
    )
    return (image - mean) / std
