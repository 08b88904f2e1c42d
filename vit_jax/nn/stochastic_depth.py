"""Stochastic depth (arXiv:1603.09382): whole residual branches drop out."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class StochasticDepth(nn.Module):
  """Drops the branch of some examples and scales up that of the others.

  Draws from the rng stream "dropout".

  Attributes:
    deterministic: switches stochastic depth off.
  """

  deterministic: bool = False

  @nn.compact
  def __call__(
    self, branch: Float[Array, "B ..."], rate: Float[Array, ""] | None
  ) -> Float[Array, "B ..."]:
    """Keeps the branch of each example with probability 1 - rate.

    Args:
      branch: what is about to be added to the residual stream.
      rate: probability in [0, 1); None keeps every branch.
    """
    if rate is None or self.deterministic:
      return branch
    shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
    keep = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - rate, shape)
    scale = jnp.asarray(1.0 / (1.0 - rate), branch.dtype)
    return jnp.where(keep, branch * scale, jnp.zeros((), branch.dtype))
