"""From tokens to one vector: class token, mean, or attention pooling."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vit_jax.nn import attention, mlp

Kind = Literal["token", "gap", "patches", "map"]

# Pooling without parameters: tokens [B, N, D] to [B, D].
FIXED = {
  "token": lambda tokens: tokens[:, 0],
  "gap": lambda tokens: tokens.mean(axis=1, dtype=jnp.float32),
  "patches": lambda tokens: tokens[:, 1:].mean(axis=1, dtype=jnp.float32),
}


class AttentionPooling(nn.Module):
  """MAP: a learned probe attends to all tokens, then a residual MLP.

  Source: Section 3.2, arXiv:2106.04560; big_vision's MAPHead.

  Attributes:
    num_heads: H.
    mlp_dim: M.
    dtype: of the computation.
    gelu: form of the MLP's GELU.
    norm_epsilon: of the norm.
  """

  num_heads: int
  mlp_dim: int
  dtype: jnp.dtype = jnp.float32
  gelu: mlp.Gelu = "tanh"
  norm_epsilon: float = 1e-6

  @nn.compact
  def __call__(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Tokens [B, N, D] to [B, D], and the probe's attention [B, H, N]."""
    b, _, width = tokens.shape
    probe = self.param(
      "probe", nn.initializers.xavier_uniform(), (1, 1, width)
    ).astype(self.dtype)
    x, weights = attention.MultiHeadAttention(
      self.num_heads, dtype=self.dtype, name="attention"
    )(jnp.broadcast_to(probe, (b, 1, width)), tokens)
    norm = nn.LayerNorm(
      epsilon=self.norm_epsilon, dtype=self.dtype, name="norm"
    )
    x += mlp.MlpBlock(
      self.mlp_dim, dtype=self.dtype, gelu=self.gelu, name="mlp"
    )(norm(x))
    return x[:, 0], weights[:, :, 0]
