"""The Transformer encoder: pre-norm blocks with stacked parameters."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np

from vit_jax.core import mesh as mesh_lib
from vit_jax.nn import attention, mlp, stacking, stochastic_depth


def sharding_rules(
  prefix: str, *stacked: None
) -> list[tuple[str, PartitionSpec]]:
  """Rules of a block's parameters: heads and MLP features over "tensor", D over
  "fsdp".

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


class Block(nn.Module):
  """x += attention(norm(x)); x += mlp(norm(x)). Section 3.1, 2010.11929.

  Attributes:
    num_heads: H.
    mlp_dim: M.
    dropout: rate after the attention and inside the MLP.
    attention_dropout: rate of the attention weights.
    deterministic: no dropout, no stochastic depth.
    attention_weights: also return the attention weights.
    relative: positions are embeddings of offsets that enter the logits; else
      they are a table that is added to x.
    own_positions: makes the module of this block's own positions.
    dtype: of the computation.
    gelu: form of the MLP's GELU.
    norm_epsilon: of the norms.
    split_tokens: whether tokens are split over the mesh's "tensor" axis where
      nothing mixes them; see `mesh.split_tokens`.
  """

  num_heads: int
  mlp_dim: int
  dropout: float = 0.0
  attention_dropout: float = 0.0
  deterministic: bool = True
  attention_weights: bool = False
  relative: bool = False
  own_positions: Callable[..., nn.Module] | None = None
  dtype: jnp.dtype = jnp.float32
  gelu: mlp.Gelu = "tanh"
  norm_epsilon: float = 1e-6
  split_tokens: bool = False

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    drop_rate: jax.Array | None = None,
    positions: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array | None]:
    """One block.

    Args:
      x: [B, N, D].
      drop_rate: [], of stochastic depth.
      positions: those of all blocks, if they share them: [N, D], or
        [2 P - 1, H, K] if relative.

    Returns:
      x after the block, and the attention weights [B, H, N, N] if asked for.
    """
    split = mesh_lib.split_tokens if self.split_tokens else mesh_lib.split_batch
    x = split(x)
    if self.own_positions:
      positions = self.own_positions(name="posemb")()
    if positions is not None and not self.relative:
      x += positions.astype(x.dtype)[None]
    norm = dict(epsilon=self.norm_epsilon, dtype=self.dtype)
    y = nn.LayerNorm(**norm, name="norm_attention")(x)
    y, weights = attention.MultiHeadAttention(
      self.num_heads,
      self.attention_dropout,
      self.deterministic,
      self.dtype,
      name="attention",
    )(y, y, positions if self.relative else None)
    if self.split_tokens:
      y = split(y)
    y = nn.Dropout(self.dropout, deterministic=self.deterministic)(y)
    x += self._depth_dropped(y, drop_rate)
    y = nn.LayerNorm(**norm, name="norm_mlp")(x)
    y = mlp.MlpBlock(
      self.mlp_dim,
      self.dropout,
      self.deterministic,
      self.dtype,
      self.gelu,
      name="mlp",
    )(y)
    if self.split_tokens:
      y = split(y)
    x += self._depth_dropped(y, drop_rate)
    return x, weights if self.attention_weights else None

  def _depth_dropped(
    self, branch: jax.Array, rate: jax.Array | None
  ) -> jax.Array:
    if rate is None or self.deterministic:
      return branch
    return stochastic_depth.StochasticDepth()(branch, rate)


def stack(depth: int, *, unroll: int, remat: stacking.Remat) -> type[Block]:
  """The class of a stack of blocks; its parameters are [L, ...].

  Called like a block, with one `drop_rate` for each block [L]; returns x, and
  the attention weights [L, B, H, N, N] if asked for. Each layer draws its own
  initial parameters and its own dropout.

  Args:
    depth: L.
    unroll: blocks per turn of the compiled loop, 0 for all (no loop).
    remat: what the backward pass computes again; see `stacking.rematted`.
  """
  return stacking.stack(
    Block, depth, (0, nn.broadcast), unroll=unroll, remat=remat
  )


def drop_rates(rate: float, depth: int) -> np.ndarray | None:
  """Stochastic depth's rates [L], from 0 in the first block up to `rate`.

  Source: arXiv:2106.10270. None where the rate is 0.
  """
  return np.linspace(0.0, rate, depth, dtype=np.float32) if rate else None
