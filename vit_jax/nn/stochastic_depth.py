"""Stochastic depth (arXiv:1603.09382): whole residual branches drop out."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class StochasticDepth(nn.Module):
  """Zeroes the branch of some examples and scales that of the others up.

  Draws from the rng stream "dropout".
  """

  @nn.compact
  def __call__(self, branch: jax.Array, rate: jax.Array) -> jax.Array:
    """Keeps each example's branch with probability 1 - rate.

    Args:
      branch: [B, ...], what is about to be added to the residual stream.
      rate: [], in [0, 1).
    """
    shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
    keep = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - rate, shape)
    scale = jnp.asarray(1.0 / (1.0 - rate), branch.dtype)
    return jnp.where(keep, branch * scale, jnp.zeros((), branch.dtype))
