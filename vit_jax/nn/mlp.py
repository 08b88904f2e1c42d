"""The MLP of a Transformer block."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

Gelu = Literal["tanh", "exact"]


class MlpBlock(nn.Module):
  """Two dense layers with a GELU between them.

  Dropout follows the GELU and the second layer, as in Appendix B.1,
  arXiv:2010.11929.

  Attributes:
    mlp_dim: M.
    dropout: rate.
    deterministic: no dropout.
    dtype: of the computation.
    gelu: its tanh approximation, or the error function.
  """

  mlp_dim: int
  dropout: float = 0.0
  deterministic: bool = True
  dtype: jnp.dtype = jnp.float32
  gelu: Gelu = "tanh"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, N, D] to [B, N, D]."""
    dense = dict(
      kernel_init=nn.initializers.xavier_uniform(),
      bias_init=nn.initializers.normal(stddev=1e-6),
      dtype=self.dtype,
    )
    drop = nn.Dropout(self.dropout, deterministic=self.deterministic)
    y = nn.Dense(self.mlp_dim, **dense, name="hidden")(x)
    y = drop(jax.nn.gelu(y, approximate=self.gelu == "tanh"))
    return drop(nn.Dense(x.shape[-1], **dense, name="out")(y))
