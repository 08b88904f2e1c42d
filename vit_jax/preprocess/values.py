"""Pixel values: uint8 to float32, on the device."""

from collections.abc import Callable
import dataclasses

import jax.numpy as jnp

from vit_jax.core import errors
from vit_jax.preprocess import op

# The features that hold pixels.
_IMAGES = ("image", "local_images")


def _from_unit(
  batch: op.Example, change: Callable[[jnp.ndarray], jnp.ndarray]
) -> op.Example:
  """The batch with `change` of every image as float32 in [0, 1]."""
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
    op.check(
      self.vmin < self.vmax,
      "{vmin} must be < {vmax}",
      vmin=self.vmin,
      vmax=self.vmax,
    )

  def __call__(self, batch):
    return _from_unit(batch, lambda x: self.vmin + (self.vmax - self.vmin) * x)


@dataclasses.dataclass(frozen=True)
class Normalise(op.DeviceOp):
  """(pixel / 255 - mean) / std, with one number for each channel."""

  mean: tuple[float, ...]
  std: tuple[float, ...]

  def __post_init__(self):
    op.check(
      len(self.mean) == len(self.std) > 0,
      "{mean} and {std} must have one number for each channel",
      mean=self.mean,
      std=self.std,
    )
    op.check(min(self.std) > 0, "{std} must be > 0", std=self.std)

  def __call__(self, batch):
    return _from_unit(batch, self._normalise)

  def _normalise(self, image: jnp.ndarray) -> jnp.ndarray:
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
