"""Blocks of the Swin Transformer (arXiv:2103.14030)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vit_jax.core import mesh as mesh_lib
from vit_jax.nn import feed_forward, stochastic_depth, window as window_lib


class Block(nn.Module):
  """x += attention(norm(x)); x += mlp(norm(x)), attention within windows.

  Attributes:
    num_heads: H.
    mlp_dim: M.
    window: (height, width).
    shift: of the windows.
    pad: see `nn.window.WindowAttention`.
    deterministic: no stochastic depth.
    dtype: of the computation.
  """

  num_heads: int
  mlp_dim: int
  window: tuple[int, int]
  shift: tuple[int, int]
  pad: window_lib.Pad
  deterministic: bool
  dtype: jnp.dtype

  @nn.compact
  def __call__(
    self, x: jax.Array, drop_rate: jax.Array | None = None
  ) -> jax.Array:
    """[B, gh, gw, D] to the same; the rate [] is of stochastic depth."""
    x = mesh_lib.split_batch(x)
    norm = functools.partial(nn.LayerNorm, epsilon=1e-5, dtype=self.dtype)
    y = window_lib.WindowAttention(
      self.num_heads,
      self.window,
      self.shift,
      self.pad,
      self.dtype,
      name="attention",
    )(norm(name="norm_attention")(x))
    x += self._depth_dropped(y, drop_rate)
    y = feed_forward.FeedForward(
      self.mlp_dim, _gelu, dtype=self.dtype, name="mlp"
    )(norm(name="norm_mlp")(x))
    return x + self._depth_dropped(y, drop_rate)

  def _depth_dropped(
    self, branch: jax.Array, rate: jax.Array | None
  ) -> jax.Array:
    if rate is None or self.deterministic:
      return branch
    return stochastic_depth.StochasticDepth()(branch, rate)


def _gelu(x: jax.Array) -> jax.Array:
  return jax.nn.gelu(x, approximate=False)


class Pair(nn.Module):
  """A block and a block with shifted windows.

  Attributes:
    block: makes a `Block` from its shift and its name.
    shift: of the second one.
  """

  block: Any
  shift: tuple[int, int]

  @nn.compact
  def __call__(
    self, x: jax.Array, drop_rates: jax.Array | None
  ) -> tuple[jax.Array, None]:
    """[B, gh, gw, D] to the same; the rates [2] are of stochastic depth."""
    first, second = (None, None) if drop_rates is None else drop_rates
    x = self.block(shift=(0, 0), name="regular")(x, first)
    return self.block(shift=self.shift, name="shifted")(x, second), None


class PatchMerging(nn.Module):
  """Neighbours of 2 x 2 cells to one of twice the width. Section 3.1.

  An odd grid is padded with zeros at its end.

  Attributes:
    dtype: of the computation.
  """

  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, gh, gw, D] to [B, ceil(gh / 2), ceil(gw / 2), 2 D]."""
    b, gh, gw, width = x.shape
    x = jnp.pad(x, ((0, 0), (0, gh % 2), (0, gw % 2), (0, 0)))
    gh, gw = (gh + 1) // 2, (gw + 1) // 2
    # The published order: down each column of the four, column by column.
    x = x.reshape(b, gh, 2, gw, 2, width).transpose(0, 1, 3, 4, 2, 5)
    x = x.reshape(b, gh, gw, 4 * width)
    x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
    return nn.Dense(
      2 * width,
      use_bias=False,
      kernel_init=nn.initializers.normal(stddev=0.02),
      dtype=self.dtype,
      name="reduction",
    )(x)
