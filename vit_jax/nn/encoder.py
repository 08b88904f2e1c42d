"""The Transformer encoder: pre-norm blocks with stacked parameters."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float
import numpy as np

from vit_jax.core import mesh as mesh_lib
from vit_jax.nn import attention, mlp, stacking, stochastic_depth


def sharding_rules(
  prefix: str, *stacked: None
) -> list[tuple[str, PartitionSpec]]:
  """Sharding rules for the parameters of a block.

  Heads and MLP features are split over "tensor", D over "fsdp".

  Args:
    prefix: regex of how the names of the block's parameters begin.
    *stacked: None for each leading axis of stacked parameters.
  """
  p = PartitionSpec
  qkv = prefix + "attention/(query|key|value)/"
  return [
    (qkv + "kernel", p(*stacked, "fsdp", "tensor", None)),
    (qkv + "bias", p(*stacked, "tensor", None)),
    (prefix + "attention/out/kernel", p(*stacked, "tensor", None, "fsdp")),
    (prefix + "mlp/hidden/kernel", p(*stacked, "fsdp", "tensor")),
    (prefix + "mlp/hidden/bias", p(*stacked, "tensor")),
    (prefix + "mlp/out/kernel", p(*stacked, "tensor", "fsdp")),
  ]


@dataclasses.dataclass(frozen=True)
class BlockConfig:
  """What a block computes.

  Attributes:
    num_heads: H.
    mlp_dim: M.
    dropout: dropout rate after the attention and inside the MLP.
    attention_dropout: dropout rate of the attention weights.
    gelu: form of the GELU in the MLP.
    norm_epsilon: epsilon of the norms.
    relative: whether positions are embeddings of offsets, which enter the
      attention logits; otherwise they are a table that is added to the tokens.
    own_positions: makes the module of position embeddings that this block
      alone has; None for a block without any.
    dtype: type of the computation.
  """

  num_heads: int
  mlp_dim: int
  dropout: float = 0.0
  attention_dropout: float = 0.0
  gelu: mlp.Gelu = "tanh"
  norm_epsilon: float = 1e-6
  relative: bool = False
  own_positions: Callable[..., nn.Module] | None = None
  dtype: DTypeLike = jnp.float32


class Block(nn.Module):
  """x += attention(norm(x)); x += mlp(norm(x)). Section 3.1, 2010.11929.

  Attributes:
    config: what it computes.
    split_tokens: whether the mesh's "tensor" axis splits the tokens between
      attention and MLP; see `mesh.split_tokens`. Changes speed and memory only.
  """

  config: BlockConfig
  split_tokens: bool = False

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B N D"],
    drop_rate: Float[Array, ""] | None = None,
    positions: Float[Array, "N D"] | Float[Array, "O H K"] | None = None,
    train: bool = False,
    attention_weights: bool = False,
  ) -> tuple[Float[Array, "B N D"], Float[Array, "B H N N"] | None]:
    """Runs the block.

    Args:
      x: the tokens.
      drop_rate: rate of stochastic depth.
      positions: position embeddings that all blocks share, if there are any:
        a table, or offsets (O = 2 P - 1, see `posemb.relative_logits`).
      train: switches dropout and stochastic depth on.
      attention_weights: whether to return the attention weights.

    Returns:
      The tokens after the block, and the attention weights or None.
    """
    config = self.config
    split = mesh_lib.split_tokens if self.split_tokens else mesh_lib.split_batch
    x = split(x)
    if config.own_positions:
      positions = config.own_positions(name="posemb")()
    if positions is not None and not config.relative:
      x += positions.astype(x.dtype)[None]
    norm = functools.partial(
      nn.LayerNorm, epsilon=config.norm_epsilon, dtype=config.dtype
    )
    y = norm(name="norm_attention")(x)
    y, weights = attention.MultiHeadAttention(
      config.num_heads,
      config.attention_dropout,
      deterministic=not train,
      dtype=config.dtype,
      name="attention",
    )(y, y, positions if config.relative else None)
    if self.split_tokens:
      y = split(y)
    y = nn.Dropout(config.dropout, deterministic=not train)(y)
    x += stochastic_depth.StochasticDepth(not train)(y, drop_rate)
    y = norm(name="norm_mlp")(x)
    y = mlp.MlpBlock(
      config.mlp_dim,
      config.dropout,
      deterministic=not train,
      dtype=config.dtype,
      gelu=config.gelu,
      name="mlp",
    )(y)
    if self.split_tokens:
      y = split(y)
    x += stochastic_depth.StochasticDepth(not train)(y, drop_rate)
    return x, weights if attention_weights else None


def stack(depth: int, *, unroll: int, remat: stacking.Remat) -> Any:
  """The class of a stack of blocks, whose parameters are [L, ...].

  It is called like a block, with all arguments by position and with one
  `drop_rate` for each block [L]. It returns the tokens, and the attention
  weights [L, B, H, N, N] or None. Of `unroll` and `remat` tells
  `stacking.stack`.
  """
  return stacking.stack(
    Block,
    depth,
    in_axes=(0, nn.broadcast, nn.broadcast, nn.broadcast),
    # `train` and `attention_weights`.
    static=(4, 5),
    unroll=unroll,
    remat=remat,
  )


def drop_rates(rate: float, depth: int) -> Float[np.ndarray, "{depth}"] | None:
  """Rates of stochastic depth [L], from 0 in the first block up to `rate`.

  Source: arXiv:2106.10270. None where the rate is 0.
  """
  return np.linspace(0.0, rate, depth, dtype=np.float32) if rate else None
