"""The MLP of the Transformers that came after ViT."""

from collections.abc import Callable
import functools

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class FeedForward(nn.Module):
  """Two dense layers with an activation between them, then dropout.

  Differs from `mlp.MlpBlock` in its activation, in its initial values (a
  standard deviation of 0.02) and in having no dropout between the layers.

  Attributes:
    mlp_dim: M.
    activation: the function between the layers.
    dropout: dropout rate after the second layer.
    deterministic: switches dropout off.
    dtype: type of the computation.
  """

  mlp_dim: int
  activation: Callable[[Float[Array, "..."]], Float[Array, "..."]]
  dropout: float = 0.0
  deterministic: bool = True
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
    """Transforms each vector by itself."""
    init = nn.initializers.normal(stddev=0.02)
    dense = functools.partial(nn.Dense, kernel_init=init, dtype=self.dtype)
    y = dense(self.mlp_dim, name="hidden")(x)
    y = dense(x.shape[-1], name="out")(self.activation(y))
    return nn.Dropout(self.dropout, deterministic=self.deterministic)(y)
