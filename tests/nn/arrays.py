"""Calls of modules with NumPy's arrays, which their annotations do not take."""

import jax
import jax.numpy as jnp


def apply(module, variables, *inputs, **kwargs):
  """`module.apply` of JAX's arrays."""
  variables, *inputs = jax.tree.map(jnp.asarray, [variables, *inputs])
  return module.apply(variables, *inputs, **kwargs)
