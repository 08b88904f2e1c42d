"""Losses of predictions about patches: one loss for each prediction."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def patches(
  images: Float[Array, "B h w c"], grid: tuple[int, int]
) -> Float[Array, "B {grid[0]*grid[1]} h//{grid[0]} w//{grid[1]} c"]:
  """Images cut into patches, in raster order of their grid (gh, gw)."""
  b, h, w, c = images.shape
  gh, gw = grid
  x = images.reshape(b, gh, h // gh, gw, w // gw, c).transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(b, gh * gw, h // gh, w // gw, c)


def mean_colours(
  patches: Float[Array, "*batch ph pw c"], side: int
) -> Float[Array, "*batch {side**2} c"]:
  """Mean colours of side x side parts; `side` divides height and width."""
  *batch, ph, pw, c = patches.shape
  x = patches.reshape(*batch, side, ph // side, side, pw // side, c)
  return x.mean(axis=(-4, -2)).reshape(*batch, side * side, c)


def colour_classes(
  colours: Float[Array, "*batch c"], bits: int
) -> Int[Array, "*batch"]:
  """Classes, int32, of colours in [0, 1].

  Each channel is divided into 2^bits equal parts, numbered from black. The
  class is the number whose digits these are, the first channel's first, so
  there are 2^(bits c) classes.
  """
  levels = 2**bits
  level = jnp.clip(jnp.floor(colours * levels), 0, levels - 1)
  weights = [levels**i for i in reversed(range(colours.shape[-1]))]
  return level.astype(jnp.int32) @ jnp.asarray(weights, jnp.int32)


def class_xent(
  logits: Float[Array, "*batch C"], classes: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
  """Softmax cross-entropy of logits for classes, in nats."""
  log_p = jax.nn.log_softmax(logits)
  return -jnp.take_along_axis(log_p, classes[..., None], axis=-1)[..., 0]
