"""Inputs, variables and compiled calls of small models of any kind."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.core import tree

COMPILE_FAST = {"xla_backend_optimization_level": 0}


def images(size, batch=2, channels=3):
  rng = np.random.default_rng(0)
  shape = (batch, *size, channels)
  return jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)


def shapes(model, x):
  return jax.eval_shape(model.init, jax.random.key(0), x)


def noisy_variables(model, x):
  """Variables away from their initial zeros, so that each one matters."""
  rng = np.random.default_rng(1)

  def draw(name, leaf):
    n = rng.standard_normal(leaf.shape).astype(np.float32)
    if name.endswith("var"):
      return jnp.asarray(1 + 0.3 * np.abs(n))
    return jnp.asarray(name.endswith("scale") + 0.3 * n)

  return tree.map_named(draw, shapes(model, x))


@functools.cache
def compiled(model, train):
  """Many times faster than op by op."""

  def run(variables, x, key):
    mutable = [k for k in variables if k != "params"] if train else False
    out = model.apply(
      variables, x, train=train, rngs={"dropout": key}, mutable=mutable
    )
    return out if train else (out, {})

  return jax.jit(run, compiler_options=COMPILE_FAST)


def apply(model, variables, x, *, train=False, key=0):
  """The outputs."""
  return compiled(model, train)(variables, x, jax.random.key(key))[0]


def losses_and_gradients(model, variables, x, mesh=None):
  """Everything a training step sees, with dropout drawn from one key.

  With a mesh as in the step of training, which names it.
  """
  variables = dict(variables)
  params = variables.pop("params")

  def loss(params, variables, x):
    out, state = model.apply(
      {"params": params, **variables},
      x,
      train=True,
      rngs={"dropout": jax.random.key(5)},
      mutable=list(variables),
    )
    return jnp.square(out["logits"]).mean(), (out, state)

  def step(params, variables, x):
    named = contextlib.nullcontext()
    if mesh:
      named = jax.sharding.use_abstract_mesh(mesh.abstract_mesh)
    with named:
      return jax.value_and_grad(loss, has_aux=True)(params, variables, x)

  step = jax.jit(step, compiler_options=COMPILE_FAST)
  (_, (out, state)), grads = step(params, variables, x)
  return tree.flatten({"out": out, "state": state, "grads": grads})


# Parameters whose true gradient is zero, and those that tell their scale: a
# softmax ignores key biases; a batch norm right after a convolution of 1 x 1
# ignores a bias before both.
ZERO = {
  "key/bias": "key/kernel",
  "stage0_residual0/project/norm/bias": "stage0_residual0/project/norm/scale",
  "_transformer/norm/bias": "_transformer/norm/scale",
}


def scale_of(step, name):
  for zero, other in ZERO.items():
    name = name.replace(zero, other)
  return np.abs(step[name]).max()


def assert_close(ours, theirs, tolerance=1e-5):
  """Each array within the tolerance of its scale."""
  assert sorted(ours) == sorted(theirs)
  for name in ours:
    error = np.abs(ours[name] - theirs[name]).max()
    assert error < tolerance * scale_of(theirs, name), name


def unreached(step):
  """Parameters without a gradient that have one by right."""
  return [
    name
    for name, g in step.items()
    if name.startswith("grads/")
    and not name.endswith(tuple(ZERO))
    and not np.abs(g).max() > 1e-6
  ]
