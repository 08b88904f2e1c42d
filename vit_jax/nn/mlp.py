"""The MLP of a Transformer block."""

import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Gelu = Literal["tanh", "exact"]


class MlpBlock(nn.Module):
  """Two dense layers with a GELU between them.

  Dropout follows the GELU and the second layer, as in Appendix B.1,
  arXiv:2010.11929.

  Attributes:
    mlp_dim: M.
    dropout: dropout rate.
    deterministic: switches dropout off.
    dtype: type of the computation.
    gelu: the tanh approximation of GELU, or the exact function.
  """

  mlp_dim: int
  dropout: float = 0.0
  deterministic: bool = True
  dtype: DTypeLike = jnp.float32
  gelu: Gelu = "tanh"

  @nn.compact
  def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
    """Transforms each token by itself."""
    dense = functools.partial(
      nn.Dense,
      kernel_init=nn.initializers.xavier_uniform(),
      bias_init=nn.initializers.normal(stddev=1e-6),
      dtype=self.dtype,
    )
    drop = nn.Dropout(self.dropout, deterministic=self.deterministic)
    y = dense(self.mlp_dim, name="hidden")(x)
    y = drop(jax.nn.gelu(y, approximate=self.gelu == "tanh"))
    return drop(dense(x.shape[-1], name="out")(y))
