"""The same model from Flax's stock modules, to compare the step's speed with.

Separate parameters for each block, `nn.MultiHeadDotProductAttention`, a
convolution for the patches, and no tuning, as in the published JAX code bases.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax


class Block(nn.Module):
  mlp_dim: int
  num_heads: int

  @nn.compact
  def __call__(self, x):
    y = nn.LayerNorm()(x)
    x += nn.MultiHeadDotProductAttention(self.num_heads)(y, y)
    y = nn.gelu(nn.Dense(self.mlp_dim)(nn.LayerNorm()(x)))
    return x + nn.Dense(x.shape[-1])(y)


class Model(nn.Module):
  """ViT-S/16 with a class token and learned positions."""

  width: int = 384
  depth: int = 12
  mlp_dim: int = 1536
  num_heads: int = 6
  num_classes: int = 1000

  @nn.compact
  def __call__(self, images):
    patches = nn.Conv(self.width, (16, 16), (16, 16), "VALID")(images)
    x = patches.reshape(images.shape[0], -1, self.width)
    token = self.param("token", nn.initializers.zeros, (1, 1, self.width))
    token = jnp.broadcast_to(token, (x.shape[0], 1, self.width))
    x = jnp.concatenate([token, x], axis=1)
    shape = (1, *x.shape[1:])
    x += self.param("position", nn.initializers.normal(0.02), shape)
    for _ in range(self.depth):
      x = Block(self.mlp_dim, self.num_heads)(x)
    return nn.Dense(self.num_classes)(nn.LayerNorm()(x)[:, 0])


def make(images, labels):
  """(compiled step, first state): Adam on the mean softmax cross-entropy."""
  model, tx = Model(), optax.adamw(1e-3)

  def loss(params, images, labels):
    logits = model.apply(params, images)
    return optax.softmax_cross_entropy_with_integer_labels(
      logits, labels
    ).mean()

  def step(state, images, labels):
    params, opt_state = state
    value, grads = jax.value_and_grad(loss)(params, images, labels)
    updates, opt_state = tx.update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), value

  params = jax.jit(model.init)(jax.random.key(0), images)
  state = (params, jax.jit(tx.init)(params))
  step = jax.jit(step, donate_argnums=0)
  return step.lower(state, images, labels).compile(), state
