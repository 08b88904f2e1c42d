"""Pixel values: uint8 to float32, on the device."""

import dataclasses

import jax.numpy as jnp

from vit_jax.core import errors
from vit_jax.preprocess import op


def _unit(batch: op.Example) -> jnp.ndarray:
  """The images as float32 in [0, 1]."""
  image = batch["image"]
  if image.dtype != jnp.uint8:
    raise errors.ConfigError(
      f"the image is {image.dtype} already: keep one of value_range and"
      " normalise in the preprocess string"
    )
  return image.astype(jnp.float32) / 255


@dataclasses.dataclass(frozen=True)
class ValueRange(op.DeviceOp):
  """Pixel 0 becomes `lo`, pixel 255 becomes `hi`."""

  lo: float
  hi: float

  def __post_init__(self):
    op.check(self.lo < self.hi, "{lo} must be < {hi}", lo=self.lo, hi=self.hi)

  def __call__(self, batch):
    image = self.lo + (self.hi - self.lo) * _unit(batch)
    return {**batch, "image": image}


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
    image = _unit(batch)
    if image.shape[-1] != len(self.mean):
      raise errors.ConfigError(
        f"normalise has {len(self.mean)} channels, the image"
        f" {image.shape[-1]}: give mean and std one number for each"
      )
    mean, std = (
      jnp.asarray(v, jnp.float32).reshape((1,) * (image.ndim - 1) + (-1,))
      for v in (self.mean, self.std)
    )
    return {**batch, "image": (image - mean) / std}
