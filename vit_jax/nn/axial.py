"""Attention along one axis of a grid at a time (arXiv:1912.12180)."""

from collections.abc import Callable
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
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
  def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
    """[B, gh, gw, D] to the same."""
    x = self._along_rows(x, "rows").swapaxes(1, 2)
    return self._along_rows(x, "columns").swapaxes(1, 2), None

  def _along_rows(self, x: jax.Array, name: str) -> jax.Array:
    rows, _ = self.block(name=name)(x.reshape(-1, *x.shape[2:]))
    return rows.reshape(x.shape)


def stack(depth: int, *, unroll: int, remat: stacking.Remat) -> type[Block]:
  """The class of a stack of blocks; its parameters are [L, ...].

  Args:
    depth: L.
    unroll: blocks per turn of the compiled loop, 0 for all (no loop).
    remat: what the backward pass computes again; see `stacking.rematted`.
  """
  return stacking.stack(Block, depth, (), unroll=unroll, remat=remat)


class RowAttention(nn.Module):
  """Self-attention within each row of a grid, with relative positions.

  A pair's logit is q k + q r_q + k r_k, and what it contributes v + r_v, where
  the r are learned for each offset and common to all heads. Queries and keys
  have half the features of the values. Source: Section 3.2, arXiv:2003.07853.

  Differs from its code (csrhddlam/axial-deeplab) in the norm, which is given,
  where that is of batches; in the logits, which are divided by the root of the
  number of their features, where that normalises each of the three terms; and
  in that the output is not normalised.

  Attributes:
    num_heads: H.
    conv: makes the convolution that projects to queries, keys and values.
    norm: makes the norm of all three.
    dtype: of the computation; logits and softmax are float32.
  """

  num_heads: int
  conv: Layer
  norm: Layer
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, gh, gw, D] to the same; D is a multiple of 2 H."""
    b, gh, gw, width = x.shape
    dim = width // self.num_heads
    parts = (dim // 2, dim)
    x = self.norm(name="norm")(self.conv(2 * width, 1, name="qkv")(x))
    x = x.reshape(b, gh, gw, self.num_heads, 2 * dim)
    query, key, value = jnp.split(x, parts, axis=-1)
    of_query, of_key, of_value = jnp.split(
      self._offsets(gw, 2 * dim), parts, axis=-1
    )

    def logits(form: str, *operands: jax.Array) -> jax.Array:
      return jnp.einsum(form, *operands, preferred_element_type=jnp.float32)

    weights = attention.softmax(
      (
        logits("BGNHK,BGTHK->BGHNT", query, key)
        + logits("BGNHK,NTK->BGHNT", query, of_query)
        + logits("BGTHK,NTK->BGHNT", key, of_key)
      )
      / math.sqrt(dim // 2)
    ).astype(self.dtype)
    y = jnp.einsum("BGHNT,BGTHK->BGNHK", weights, value)
    y += jnp.einsum("BGHNT,NTK->BGNHK", weights, of_value)
    return y.reshape(b, gh, gw, width)

  def _offsets(self, length: int, features: int) -> jax.Array:
    """Embeddings of the offsets, query minus key: [N, N, features]."""
    init = nn.initializers.normal(stddev=math.sqrt(2 / features))
    table = self.param("relative", init, (2 * length - 1, features))
    at = np.arange(length)
    return table.astype(self.dtype)[at[:, None] - at[None] + length - 1]


class GridAttention(nn.Module):
  """In the place of a convolution of 3 x 3: columns, then rows, then pooling.

  Source: arXiv:2003.07853. The mean over stride x stride cells is what makes
  the grid smaller; of an odd grid the last one has fewer cells.

  Attributes:
    stride: in both directions.
    attend: makes a `RowAttention` from its name.
  """

  stride: int
  attend: Layer

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, gh, gw, D] to [B, gh / stride, gw / stride, D], rounded up."""
    x = self.attend(name="columns")(x.swapaxes(1, 2)).swapaxes(1, 2)
    x = self.attend(name="rows")(x)
    if self.stride == 1:
      return x
    side = (self.stride, self.stride)
    return nn.avg_pool(x, side, side, "SAME", count_include_pad=False)
