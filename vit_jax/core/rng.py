"""Random streams: one root key, never advanced; by name, then by step.

What is drawn at step s under a name is a function of (seed, name, s) alone, so
that a resumed run draws what the uninterrupted one would have drawn.
"""

import zlib

import jax


def root(seed: int) -> jax.Array:
  """The root key of a run."""
  return jax.random.key(seed)


def stream(key: jax.Array, name: str, step: jax.Array | int) -> jax.Array:
  """The key of the stream `name` at `step`."""
  return jax.random.fold_in(named(key, name), step)


def named(key: jax.Array, name: str) -> jax.Array:
  """The key of the stream `name` for what happens once (such as init)."""
  return jax.random.fold_in(key, zlib.crc32(name.encode()))
