"""Axial attention against loops in float64."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models
from vit_jax.core import tree
from vit_jax.nn import axial, encoder


class Same(nn.Module):
  @nn.compact
  def __call__(self, x):
    return x


def project(width, size, *, name):
  assert size == 1
  return nn.Dense(width, use_bias=False, name=name)


def attend(name=None):
  return axial.RowAttention(2, project, Same, name=name)


def noisy(shapes):
  rng = np.random.default_rng(1)
  return tree.map_named(
    lambda name, leaf: (
      name.endswith("scale")
      + 0.3 * rng.standard_normal(leaf.shape).astype("f4")
    ),
    shapes,
  )


def made(module, x, *args):
  """Noisy variables of a module, and its output."""
  variables = noisy(jax.eval_shape(module.init, jax.random.key(0), x, *args))
  apply = jax.jit(module.apply, compiler_options=small_models.COMPILE_FAST)
  return variables["params"], apply(variables, x, *args)


def by_hand(params, x):
  """RowAttention with two heads, pair by pair."""
  kernel = np.asarray(params["qkv"]["kernel"], np.float64)
  table = np.asarray(params["relative"], np.float64)
  x = np.asarray(x, np.float64)
  b, gh, gw, width = x.shape
  dim = width // 2
  half = dim // 2
  out = np.zeros(x.shape)
  for i, g, head in np.ndindex(b, gh, 2):
    qkv = (x[i, g] @ kernel)[:, 2 * dim * head : 2 * dim * (head + 1)]
    q, k, v = qkv[:, :half], qkv[:, half:dim], qkv[:, dim:]
    for n in range(gw):
      r = [table[n - t + gw - 1] for t in range(gw)]
      logits = [
        (q[n] @ k[t] + q[n] @ r[t][:half] + k[t] @ r[t][half:dim])
        / np.sqrt(half)
        for t in range(gw)
      ]
      weights = np.exp(logits) / np.exp(logits).sum()
      values = [v[t] + r[t][dim:] for t in range(gw)]
      y = sum(w * value for w, value in zip(weights, values, strict=True))
      out[i, g, n, dim * head : dim * (head + 1)] = y
  return out


def grid(*shape):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.standard_normal(shape), jnp.float32)


def test_row_attention_equals_float64():
  x = grid(2, 3, 5, 8)
  params, out = made(attend(), x)
  assert params["relative"].shape == (9, 8)
  np.testing.assert_allclose(out, by_hand(params, x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_grid_attention_is_columns_then_rows_then_means(stride):
  x = grid(2, 3, 5, 8)
  params, out = made(axial.GridAttention(stride, attend), x)
  y = by_hand(params["columns"], x.swapaxes(1, 2)).swapaxes(1, 2)
  y = by_hand(params["rows"], y)
  if stride == 2:
    cells = [
      y[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean(axis=(1, 2))
      for i, j in np.ndindex(2, 3)
    ]
    y = np.stack(cells, axis=1).reshape(2, 2, 3, 8)
  np.testing.assert_allclose(out, y, rtol=0, atol=2e-5)


def test_block_is_a_block_of_each_row_and_then_of_each_column():
  def block(name=None):
    return encoder.Block(encoder.BlockConfig(2, 16), name=name)

  x = grid(2, 3, 5, 8)
  params, (out, _) = made(axial.Block(block), x)
  one = jax.jit(block().apply, compiler_options=small_models.COMPILE_FAST)
  y = np.asarray(x)
  rows = [one({"params": params["rows"]}, y[:, i])[0] for i in range(3)]
  y = np.stack(rows, axis=1)
  columns = [
    one({"params": params["columns"]}, y[:, :, i])[0] for i in range(5)
  ]
  np.testing.assert_allclose(out, np.stack(columns, axis=2), atol=1e-5)
