"""A small Vision Transformer, its inputs and parameters, compiled once."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.core import tree
from vit_jax.models import vit

SMALL = vit.Config(
  num_classes=5,
  image_size=(12, 8),
  patch_size=(4, 2),
  width=16,
  depth=3,
  mlp_dim=24,
  num_heads=2,
)
COMPILE_FAST = {"xla_backend_optimization_level": 0}


def small(**fields):
  return dataclasses.replace(SMALL, **fields)


def images(config=SMALL, batch=2, channels=3):
  rng = np.random.default_rng(0)
  shape = (batch, *config.image_size, channels)
  return jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)


def noisy_params(model, x):
  """Parameters away from their initial zeros, so that each one matters."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
  rng = np.random.default_rng(1)

  def draw(name, leaf):
    n = rng.standard_normal(leaf.shape).astype(np.float32)
    return jnp.asarray(name.endswith("scale") + 0.3 * n)

  return tree.map_named(draw, shapes)


@functools.cache
def compiled(config, train, attention_weights):
  """Many times faster than op by op."""
  apply = functools.partial(
    vit.Model(config).apply, train=train, attention_weights=attention_weights
  )
  run = lambda p, x, rngs: apply({"params": p}, x, rngs=rngs)  # noqa: E731
  return jax.jit(run, compiler_options=COMPILE_FAST)


def apply(config, params, x, *, train=False, attention_weights=False, key=0):
  rngs = {"dropout": jax.random.key(key)}
  return compiled(config, train, attention_weights)(params, x, rngs)


def outputs(config, **static):
  x = images(config)
  return apply(config, noisy_params(vit.Model(config), x), x, **static)
