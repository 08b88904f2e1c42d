"""From tokens to one vector: class token, mean, or attention pooling."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vit_jax.nn import attention, encoder, mlp

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
    config: that of the encoder's blocks; its dropout is not used here.
  """

  config: encoder.BlockConfig

  @nn.compact
  def __call__(
    self, tokens: Float[Array, "B N D"]
  ) -> tuple[Float[Array, "B D"], Float[Array, "B H N"]]:
    """Returns the pooled vector and the attention of the probe."""
    config, (b, _, width) = self.config, tokens.shape
    dtype = config.dtype
    init = nn.initializers.xavier_uniform()
    probe = self.param("probe", init, (1, 1, width)).astype(dtype)
    x, weights = attention.MultiHeadAttention(
      config.num_heads, dtype=dtype, name="attention"
    )(jnp.broadcast_to(probe, (b, 1, width)), tokens)
    y = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=dtype, name="norm")(x)
    x += mlp.MlpBlock(
      config.mlp_dim, dtype=dtype, gelu=config.gelu, name="mlp"
    )(y)
    return x[:, 0], weights[:, :, 0]
