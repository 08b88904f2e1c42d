"""Blocks of the Swin Transformer (arXiv:2103.14030)."""

from collections.abc import Callable
import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.core import mesh as mesh_lib
from vit_jax.nn import feed_forward, stochastic_depth, window as window_lib


@dataclasses.dataclass(frozen=True)
class BlockConfig:
  """What a block computes.

  Attributes:
    num_heads: H.
    mlp_dim: M.
    window: (height, width) of the windows.
    pad: see `nn.window.WindowAttention`.
    dtype: type of the computation.
  """

  num_heads: int
  mlp_dim: int
  window: window_lib.Size
  pad: window_lib.Pad
  dtype: DTypeLike


class Block(nn.Module):
  """x += attention(norm(x)); x += mlp(norm(x)), attention within windows.

  Attributes:
    config: what it computes.
    shift: number of cells by which the windows are shifted.
    train: switches stochastic depth on.
  """

  config: BlockConfig
  shift: window_lib.Size
  train: bool

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B gh gw D"],
    drop_rate: Float[Array, ""] | None = None,
  ) -> Float[Array, "B gh gw D"]:
    """Runs the block, with this rate of stochastic depth."""
    config = self.config
    x = mesh_lib.split_batch(x)
    norm = functools.partial(nn.LayerNorm, epsilon=1e-5, dtype=config.dtype)
    y = window_lib.WindowAttention(
      config.num_heads,
      config.window,
      self.shift,
      config.pad,
      config.dtype,
      name="attention",
    )(norm(name="norm_attention")(x))
    x += stochastic_depth.StochasticDepth(not self.train)(y, drop_rate)
    y = feed_forward.FeedForward(
      config.mlp_dim,
      functools.partial(jax.nn.gelu, approximate=False),
      dtype=config.dtype,
      name="mlp",
    )(norm(name="norm_mlp")(x))
    return x + stochastic_depth.StochasticDepth(not self.train)(y, drop_rate)


class Pair(nn.Module):
  """A block and a block with shifted windows.

  Attributes:
    block: makes a `Block` from its shift and its name.
    shift: shift of the second block.
  """

  block: Callable[..., Block]
  shift: window_lib.Size

  @nn.compact
  def __call__(
    self, x: Float[Array, "B gh gw D"], drop_rates: Float[Array, "2"] | None
  ) -> tuple[Float[Array, "B gh gw D"], None]:
    """Runs both blocks, each with its rate of stochastic depth."""
    first, second = (None, None) if drop_rates is None else drop_rates
    x = self.block(shift=(0, 0), name="regular")(x, first)
    return self.block(shift=self.shift, name="shifted")(x, second), None


class PatchMerging(nn.Module):
  """Merges 2 x 2 cells into one of twice the width. Section 3.1.

  An odd grid is padded with zeros at its end.

  Attributes:
    dtype: type of the computation.
  """

  dtype: DTypeLike

  @nn.compact
  def __call__(
    self, x: Float[Array, "B gh gw D"]
  ) -> Float[Array, "B (gh+1)//2 (gw+1)//2 2*D"]:
    """Returns a grid of half the height and width, rounded up."""
    b, gh, gw, width = x.shape
    x = jnp.pad(x, ((0, 0), (0, gh % 2), (0, gw % 2), (0, 0)))
    gh, gw = (gh + 1) // 2, (gw + 1) // 2
    # The published order of the four cells: column by column.
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
