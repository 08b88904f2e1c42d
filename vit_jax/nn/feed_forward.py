"""The MLP of the Transformers that came after ViT."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


class FeedForward(nn.Module):
  """Two dense layers with an activation between them, then dropout.

  Differs from `mlp.MlpBlock` in its activation, in its initial values (a
  standard deviation of 0.02) and in having no dropout between the layers.

  Attributes:
    mlp_dim: M.
    activation: between the layers.
    dropout: rate after the second layer.
    deterministic: no dropout.
    dtype: of the computation.
  """

  mlp_dim: int
  activation: Callable[[jax.Array], jax.Array]
  dropout: float = 0.0
  deterministic: bool = True
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[..., D] to [..., D]."""
    init = nn.initializers.normal(stddev=0.02)
    dense = dict(kernel_init=init, dtype=self.dtype)
    y = nn.Dense(self.mlp_dim, **dense, name="hidden")(x)
    y = nn.Dense(x.shape[-1], **dense, name="out")(self.activation(y))
    return nn.Dropout(self.dropout, deterministic=self.deterministic)(y)
