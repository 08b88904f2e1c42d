"""The published model from Flax's stock modules, trained by our optimiser.

It is what the published code bases compile, so that even the rounding errors
are theirs: those of a key's bias, whose true gradient is 0, are all that
Adafactor sees of it, and it scales them up to the size of any other update.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.invariants import published
from tests.parity import rule
from vit_jax.core import tree
from vit_jax.losses import classification
from vit_jax.nn import posemb
from vit_jax.optim import base, schedule


class MlpBlock(nn.Module):
  mlp_dim: int

  @nn.compact
  def __call__(self, x):
    y = nn.gelu(nn.Dense(self.mlp_dim)(x))
    return nn.Dense(x.shape[-1])(y)


class Block(nn.Module):
  num_heads: int
  mlp_dim: int

  @nn.compact
  def __call__(self, x):
    y = nn.LayerNorm()(x)
    x = x + nn.MultiHeadDotProductAttention(self.num_heads)(y, y)
    return x + MlpBlock(self.mlp_dim)(nn.LayerNorm()(x))


class Encoder(nn.Module):
  depth: int
  num_heads: int
  mlp_dim: int

  @nn.compact
  def __call__(self, x):
    for i in range(self.depth):
      block = Block(self.num_heads, self.mlp_dim, name=f"encoderblock_{i}")
      x = block(x)
    return nn.LayerNorm(name="encoder_norm")(x)


class Model(nn.Module):
  """With sines and cosines and the mean of all tokens, as in the fixture."""

  theirs: dict
  num_classes: int

  @nn.compact
  def __call__(self, images):
    fields = self.theirs
    assert (fields["pool_type"], fields["posemb"]) == ("gap", "sincos2d")
    side = (fields["patch_size"],) * 2
    x = nn.Conv(fields["width"], side, side, "VALID", name="embedding")(images)
    b, gh, gw, width = x.shape
    x = x.reshape(b, gh * gw, width) + posemb.sincos_2d((gh, gw), width)[None]
    x = Encoder(
      *(fields[name] for name in ("depth", "num_heads", "mlp_dim")),
      name="Transformer",
    )(x)
    return nn.Dense(self.num_classes, name="head")(x.mean(axis=1))


def run(fixture, batches, apart=False):
  """Norms [steps] of the updates, and of those of the keys' biases.

  `apart` compiles gradients and updates apart, which changes the rounding.
  """
  experiment = published.experiment(fixture)
  optim = dataclasses.replace(
    experiment.optim,
    weight_decay_mask=(".*/kernel",),
    weight_decay_multipliers=(),
  )
  params = jax.tree.map(jnp.asarray, tree.unflatten(rule.params(fixture)))
  size, steps = fixture["batch"]["size"], fixture["steps"]
  lengths = dict(batch_size=size, epoch_examples=size * steps)
  rate = schedule.make(optim.schedule, total_steps=steps, **lengths)
  tx = base.make(optim, rate, params, stacked="")
  classes = fixture["batch"]["classes"]
  model = Model(fixture["config"]["model"], classes)
  xent = classification.LOSSES[experiment.task.loss]

  def gradients(params, batch):
    def loss(params):
      logits = model.apply({"params": params}, batch["image"])
      target = classification.targets(batch["label"], classes)
      return xent(logits, target).mean()

    return jax.grad(loss)(params)

  update = tx.update
  if apart:
    gradients, update = jax.jit(gradients), jax.jit(update)

  def step(params, state, batch):
    updates, state = update(gradients(params, batch), state, params)
    biases = [u for k, u in tree.flatten(updates).items() if "key/bias" in k]
    norms = optax.tree.norm(updates), optax.tree.norm(biases)
    return optax.apply_updates(params, updates), state, norms

  if not apart:
    step = jax.jit(step)
  rows, state = [], tx.init(params)
  for batch in batches:
    params, state, norms = step(params, state, batch)
    rows.append(norms)
  return np.asarray(rows).T
