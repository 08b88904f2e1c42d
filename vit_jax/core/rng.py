"""Random streams: one root key, never advanced; by name, then by step.

What is drawn at step s under a name is a function of (seed, name, s) alone, so
that a resumed run draws what the uninterrupted one would have drawn.
"""

import zlib

import jax


def root(seed: int) -> jax.Array:
  """The root of a run's streams: uint32 words, so that it can be saved."""
  return jax.random.key_data(jax.random.key(seed))


def named(words: jax.Array, name: str) -> jax.Array:
  """The key of the stream `name`, for what happens once (such as init)."""
  key = jax.random.wrap_key_data(words)
  return jax.random.fold_in(key, zlib.crc32(name.encode()))


def stream(words: jax.Array, name: str, step: jax.Array | int) -> jax.Array:
  """The key of the stream `name` at `step`."""
  return jax.random.fold_in(named(words, name), step)


def host_seed(seed: int, name: str) -> int:
  """A 32-bit seed of the stream `name` for generators outside JAX."""
  return zlib.crc32(f"{seed}/{name}".encode())
