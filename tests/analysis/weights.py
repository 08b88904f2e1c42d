"""Attention weights of made-up models."""

import numpy as np


def attention(layers, batch, heads, tokens, *, seed=0):
  """[L, B, H, N, N], float32; each row sums to one and is far from even."""
  rng = np.random.default_rng(seed)
  shape = (layers, batch, heads, tokens, tokens)
  x = np.exp(2 * rng.standard_normal(shape))
  return (x / x.sum(axis=-1, keepdims=True)).astype(np.float32)
