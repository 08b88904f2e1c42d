"""Position embeddings: vectors that tell tokens apart.

The kinds of Appendix D.4 and Table 8, arXiv:2010.11929, and sines and cosines.
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

Kind = Literal["learned_1d", "learned_2d", "sincos_2d"]
Choice = Literal["none", "learned_1d", "learned_2d", "sincos_2d", "relative"]
# Where positions are added: once to the tokens, at the input of every layer
# from a table of its own, or at every layer from one shared table.
At = Literal["stem", "every_layer", "shared"]
Grid = tuple[int, int]

# Combinations of Choice and At that make no sense, and what to use instead.
REFUSED = {
  ("none", "every_layer"): "none has nothing to add; use stem",
  ("none", "shared"): "none has nothing to add; use stem",
  ("sincos_2d", "every_layer"): (
    "sincos_2d is the same table for every layer; use shared"
  ),
  ("relative", "stem"): (
    "relative enters the attention logits of every layer; use every_layer"
    " (offsets of its own for each) or shared"
  ),
}
# Into how many equal parts a kind divides the width.
PARTS = {"learned_2d": 2, "sincos_2d": 4}


def sincos_2d(
  grid: Grid, width: int, temperature: float = 10_000.0
) -> Float[Array, "{grid[0]*grid[1]} {width}"]:
  """Sines and cosines of the patches' coordinates, float32.

  A quarter of D each is sin(x), cos(x), sin(y) and cos(y), with frequencies
  from 1 to 1 / temperature. Source: MoCo v3 and arXiv:2205.01580.

  Args:
    grid: (gh, gw).
    width: D, a multiple of 4, at least 8.
    temperature: ratio of the longest wavelength to the shortest.
  """
  y, x = jnp.mgrid[: grid[0], : grid[1]]
  exponent = jnp.arange(width // 4) / (width // 4 - 1)
  frequency = 1.0 / temperature**exponent
  x, y = (jnp.outer(axis.ravel(), frequency) for axis in (x, y))
  return jnp.concatenate(
    [jnp.sin(x), jnp.cos(x), jnp.sin(y), jnp.cos(y)], axis=1
  )


class PositionTable(nn.Module):
  """A vector for each token, to be added to it.

  - learned_1d: a learned vector for each token in raster order.
  - learned_2d: learned vectors of D / 2 features for each column and for each
    row, concatenated.
  - sincos_2d: fixed vectors; see the function of this name.

  Differs from big_vision, whose learned embeddings start with a standard
  deviation of 1 / sqrt(D): here it is 0.02, as in google-research's
  vision_transformer.

  Attributes:
    kind: one of the kinds above.
    grid: (gh, gw).
    width: D.
    class_token: whether there is a class token before the patches.
    class_token_position: whether it has a learned vector too; otherwise its
      vector is zero.
  """

  kind: Kind
  grid: Grid
  width: int
  class_token: bool
  class_token_position: bool

  @nn.compact
  def __call__(self) -> Float[Array, "N {self.width}"]:
    """The table, float32; the class token's row comes first."""
    gh, gw = self.grid
    init = nn.initializers.normal(stddev=0.02)
    own_row = self.class_token and self.class_token_position
    if self.kind == "learned_1d":
      table = self.param("table", init, (own_row + gh * gw, self.width))
    elif self.kind == "learned_2d":
      half = self.width // 2
      columns = self.param("columns", init, (gw, half))
      rows = self.param("rows", init, (gh, half))
      columns = jnp.tile(columns, (gh, 1))
      table = jnp.concatenate([columns, jnp.repeat(rows, gw, axis=0)], axis=1)
      if own_row:
        first = self.param("class_token", init, (1, self.width))
        table = jnp.concatenate([first, table])
    else:
      table = sincos_2d(self.grid, self.width)
    missing = self.class_token + gh * gw - table.shape[0]
    return jnp.pad(table, ((missing, 0), (0, 0)))


class RelativeOffsets(nn.Module):
  """A learned key for each distance between two tokens, and for each head.

  Attributes:
    num_tokens: P, the number of tokens that have a position.
    num_heads: H.
    head_dim: K.
  """

  num_tokens: int
  num_heads: int
  head_dim: int

  @nn.compact
  def __call__(self) -> Float[Array, "2*{self.num_tokens}-1 H K"]:
    """Embeddings, float32, of the offsets from -(P - 1) to P - 1."""
    shape = (2 * self.num_tokens - 1, self.num_heads, self.head_dim)
    return self.param("offsets", nn.initializers.normal(stddev=0.02), shape)


def relative_logits(
  query: Float[Array, "B N H K"], offsets: Float[Array, "O H K"]
) -> Float[Array, "B H N N"]:
  """Attention logits from 1-D relative positions.

  Query q and key k have the offset p_q - p_k in raster order; its embedding
  takes the place of the key. Source: Appendix D.4, arXiv:2010.11929.

  Args:
    query: the scaled queries.
    offsets: embeddings of the O = 2 P - 1 offsets of the last P tokens, which
      are those that have a position.

  Returns:
    The logits, float32; zero where query or key has no position.
  """
  p = (offsets.shape[0] + 1) // 2
  none = query.shape[1] - p
  by_offset = jnp.einsum(
    "BPHK,OHK->BHPO",
    query[:, none:],
    offsets[::-1],
    preferred_element_type=jnp.float32,
  )
  # Row q needs the columns p - 1 - q + k. In the flat array they lie 2 p - 2
  # apart from row to row, so that dropping p - 1 numbers aligns all rows.
  flat = by_offset.reshape(*by_offset.shape[:2], p * (2 * p - 1))
  flat = flat[..., p - 1 : p - 1 + p * (2 * p - 2)]
  # A single token has a single offset, which leaves nothing to align.
  logits = (
    flat.reshape(*flat.shape[:2], p, 2 * p - 2)[..., :p] if p > 1 else by_offset
  )
  return jnp.pad(logits, ((0, 0), (0, 0), (none, 0), (none, 0)))
