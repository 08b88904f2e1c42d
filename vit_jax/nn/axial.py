"""Attention along one axis of a grid at a time (arXiv:1912.12180)."""

from collections.abc import Callable
import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float
import numpy as np

from vit_jax.nn import attention, stacking

Layer = Callable[..., nn.Module]


class Block(nn.Module):
  """A Transformer block along the rows, then another along the columns.

  Source: Appendix D.6, arXiv:2010.11929.

  Attributes:
    block: makes an `encoder.Block` from its name.
  """

  block: Layer

  @nn.compact
  def __call__(
    self, x: Float[Array, "B gh gw D"], train: bool = False
  ) -> tuple[Float[Array, "B gh gw D"], None]:
    """Runs both blocks, with dropout if `train`."""

    def along_rows(
      x: Float[Array, "B G N D"], name: str
    ) -> Float[Array, "B G N D"]:
      rows, _ = self.block(name=name)(
        x.reshape(-1, *x.shape[2:]), None, None, train
      )
      return rows.reshape(x.shape)

    x = along_rows(x, "rows").swapaxes(1, 2)
    return along_rows(x, "columns").swapaxes(1, 2), None


def stack(depth: int, *, unroll: int, remat: stacking.Remat) -> type[Block]:
  """The class of a stack of blocks, whose parameters are [L, ...].

  It is called like a block, with both arguments by position. For `unroll` and
  `remat` see `stacking.stack`.
  """
  return stacking.stack(
    Block, depth, nn.broadcast, static=(2,), unroll=unroll, remat=remat
  )


class RowAttention(nn.Module):
  """Self-attention within each row of a grid, with relative positions.

  The logit of a pair is q k + q r_q + k r_k, and its value is v + r_v, where
  the r are learned for each offset and shared by all heads. Queries and keys
  have half as many features as values. Source: Section 3.2, arXiv:2003.07853.

  Differs from its code (csrhddlam/axial-deeplab) in three ways: the norm is an
  argument, where the code has batch norm; logits are divided by the square
  root of the number of features, where the code normalises each of the three
  terms; and the output is not normalised.

  Attributes:
    num_heads: H.
    conv: makes the convolution that projects to queries, keys and values.
    norm: makes the norm of all three.
    dtype: type of the computation; logits and softmax are float32.
  """

  num_heads: int
  conv: Layer
  norm: Layer
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "B gh gw D"]) -> Float[Array, "B gh gw D"]:
    """Attends within each row; D is a multiple of 2 H."""
    b, gh, gw, width = x.shape
    dim = width // self.num_heads
    parts = (dim // 2, dim)
    x = self.norm(name="norm")(self.conv(2 * width, 1, name="qkv")(x))
    x = x.reshape(b, gh, gw, self.num_heads, 2 * dim)
    query, key, value = jnp.split(x, parts, axis=-1)
    query_offsets, key_offsets, value_offsets = jnp.split(
      self._offsets(gw, 2 * dim), parts, axis=-1
    )

    def logits(
      form: str, *operands: Float[Array, "..."]
    ) -> Float[Array, "B gh H gw gw"]:
      return jnp.einsum(form, *operands, preferred_element_type=jnp.float32)

    weights = attention.softmax(
      (
        logits("BGNHK,BGTHK->BGHNT", query, key)
        + logits("BGNHK,NTK->BGHNT", query, query_offsets)
        + logits("BGTHK,NTK->BGHNT", key, key_offsets)
      )
      / math.sqrt(dim // 2)
    ).astype(self.dtype)
    y = jnp.einsum("BGHNT,BGTHK->BGNHK", weights, value)
    y += jnp.einsum("BGHNT,NTK->BGNHK", weights, value_offsets)
    return y.reshape(b, gh, gw, width)

  def _offsets(
    self, length: int, features: int
  ) -> Float[Array, "{length} {length} {features}"]:
    """Embeddings of the offsets, query minus key, of each pair."""
    init = nn.initializers.normal(stddev=math.sqrt(2 / features))
    table = self.param("relative", init, (2 * length - 1, features))
    at = np.arange(length)
    return table.astype(self.dtype)[at[:, None] - at[None] + length - 1]


class GridAttention(nn.Module):
  """Replaces a 3 x 3 convolution: columns, then rows, then pooling.

  Source: arXiv:2003.07853. The grid is made smaller by the mean over stride x
  stride cells; at the end of an odd grid it is over fewer cells.

  Attributes:
    stride: stride in both directions.
    attend: makes a `RowAttention` from its name.
  """

  stride: int
  attend: Layer

  @nn.compact
  def __call__(self, x: Float[Array, "B gh gw D"]) -> Float[Array, "B _ _ D"]:
    """Returns a grid of gh / stride x gw / stride, rounded up."""
    x = self.attend(name="columns")(x.swapaxes(1, 2)).swapaxes(1, 2)
    x = self.attend(name="rows")(x)
    if self.stride == 1:
      return x
    side = (self.stride, self.stride)
    return nn.avg_pool(x, side, side, "SAME", count_include_pad=False)
