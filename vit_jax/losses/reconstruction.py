"""Losses of predicting what is in a patch, one loss a prediction."""

import jax
import jax.numpy as jnp


def patches(images: jax.Array, grid: tuple[int, int]) -> jax.Array:
  """Images [B, h, w, c] cut up: [B, gh * gw, h / gh, w / gw, c]."""
  b, h, w, c = images.shape
  gh, gw = grid
  x = images.reshape(b, gh, h // gh, gw, w // gw, c).transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(b, gh * gw, h // gh, w // gw, c)


def mean_colours(patches: jax.Array, side: int) -> jax.Array:
  """Patches [..., ph, pw, c] as side x side means: [..., side * side, c].

  `side` divides the height and the width.
  """
  *batch, ph, pw, c = patches.shape
  x = patches.reshape(*batch, side, ph // side, side, pw // side, c)
  return x.mean(axis=(-4, -2)).reshape(*batch, side * side, c)


def colour_classes(colours: jax.Array, bits: int) -> jax.Array:
  """Classes int32 [...] of colours [..., c] in [0, 1].

  Each channel has 2^bits equal parts, counted from black; the first channel
  counts most, so that there are 2^(bits c) classes.
  """
  levels = 2**bits
  level = jnp.clip(jnp.floor(colours * levels), 0, levels - 1)
  weights = [levels**i for i in reversed(range(colours.shape[-1]))]
  return level.astype(jnp.int32) @ jnp.asarray(weights, jnp.int32)


def class_xent(logits: jax.Array, classes: jax.Array) -> jax.Array:
  """Softmax cross-entropy of logits [..., C] for classes [...], in nats."""
  log_p = jax.nn.log_softmax(logits)
  return -jnp.take_along_axis(log_p, classes[..., None], axis=-1)[..., 0]
