"""Windows: who attends to whom, with which bias, by slow formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.nn.arrays import apply
from vit_jax.nn import window as window_lib


def random(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def init_random(module, x, scale=1.0):
  """Random numbers in place of the initial parameters."""
  shapes = jax.eval_shape(module.init, jax.random.key(0), x)
  rng = np.random.default_rng(1)
  draw = lambda leaf: scale * rng.standard_normal(leaf.shape, np.float32)  # noqa: E731
  return jax.tree.map(draw, shapes)


FITTED = [
  ((8, 8), (4, 4), (4, 4), (2, 2)),
  ((14, 14), (7, 7), (7, 7), (3, 3)),
  ((7, 7), (7, 7), (7, 7), (0, 0)),
  ((4, 4), (7, 7), (4, 4), (0, 0)),
  ((3, 9), (4, 5), (3, 5), (0, 2)),
  ((2, 2), (1, 1), (1, 1), (0, 0)),
]


@pytest.mark.parametrize(("grid", "window", "fitted", "shift"), FITTED)
def test_fitted(grid, window, fitted, shift):
  assert window_lib.fitted(grid, window) == (fitted, shift)


def test_partition_and_back():
  x = random(2, 6, 4, 3)
  windows = window_lib.partition(jnp.asarray(x), (3, 2))
  assert windows.shape == (2, 4, 6, 3)
  np.testing.assert_array_equal(windows[:, 3], x[:, 3:6, 2:4].reshape(2, 6, 3))
  np.testing.assert_array_equal(window_lib.merge(windows, (6, 4), (3, 2)), x)


def attending(module, variables, x):
  """[gh, gw, gh, gw]: how much each cell's output depends on each cell."""
  _, gh, gw, _ = x.shape
  jacobian = jax.jit(jax.jacrev(lambda x: apply(module, variables, x)[0]))(x)
  sums = np.abs(np.asarray(jacobian)[:, :, :, 0]).sum(axis=(2, 5))
  assert sums.shape == (gh, gw, gh, gw)
  return sums


def expected(grid, window, shift):
  """Cells of one window of the shifted grid that were neighbours before."""
  (gh, gw), (wh, ww), (sh, sw) = grid, window, shift
  # As windows of the image itself, they begin at `shift` minus a window.
  rows = (np.arange(gh) + wh - sh) // wh if sh else np.arange(gh) // wh
  columns = (np.arange(gw) + ww - sw) // ww if sw else np.arange(gw) // ww
  number = rows[:, None] * 1000 + columns[None]
  return number[:, :, None, None] == number[None, None]


SHIFTED = [
  ((8, 8), (4, 4), (2, 2)),
  ((6, 6), (3, 3), (1, 1)),
  ((8, 4), (4, 4), (2, 0)),
  ((3, 10), (3, 5), (0, 2)),
  ((6, 6), (3, 3), (0, 0)),
]


@pytest.mark.parametrize(("grid", "window", "shift"), SHIFTED)
@pytest.mark.parametrize("scale", [0.5, 30.0])
def test_no_gradient_crosses_the_masks(grid, window, shift, scale):
  """Also where logits are in the thousands, which no finite mask hides."""
  x = random(1, *grid, 4)
  module = window_lib.WindowAttention(2, window, shift)
  sums = attending(module, init_random(module, x, scale), x)
  seen = expected(grid, window, shift)
  assert not sums[~seen].any()
  if scale < 1:
    assert sums[seen].min() > 1e-6


def test_no_gradient_crosses_the_masks_of_a_padded_grid():
  """Nor that of padding which precedes the shift."""
  x = random(1, 6, 5, 4)
  module = window_lib.WindowAttention(2, (4, 4), (2, 2))
  sums = attending(module, init_random(module, x, 0.5), x)
  seen = expected((6, 5), (4, 4), (2, 2))
  assert not sums[~seen].any()
  assert sums[seen].min() > 1e-6


def test_padding_after_the_shift_is_another_thing():
  x = random(1, 6, 5, 4)
  before = window_lib.WindowAttention(2, (4, 4), (2, 2))
  after = before.clone(pad="after_shift")
  variables = init_random(before, x, 0.5)
  a, b = apply(before, variables, x), apply(after, variables, x)
  assert np.abs(a - b).max() > 1e-2
  x = random(1, 8, 4, 4)
  a, b = apply(before, variables, x), apply(after, variables, x)
  np.testing.assert_array_equal(a, b)


def test_attention_by_loops():
  """One window of 2 x 3 cells: bias of the offset query minus key."""
  x = random(1, 2, 3, 8)
  module = window_lib.WindowAttention(2, (2, 3))
  variables = init_random(module, x)
  out = np.asarray(apply(module, variables, x))[0]
  p = variables["params"]
  assert p["relative_bias"].shape == (3, 5, 2)
  project = lambda name: (  # noqa: E731
    np.einsum("hwD,DHK->hwHK", x[0], p[name]["kernel"]) + p[name]["bias"]
  )
  query, key, value = (project(n) for n in ("query", "key", "value"))
  for y, x_ in np.ndindex(2, 3):
    found = p["out"]["bias"]
    for h in range(2):
      logits = np.zeros((2, 3))
      for v, u in np.ndindex(2, 3):
        logits[v, u] = query[y, x_, h] @ key[v, u, h] / np.sqrt(4)
        logits[v, u] += p["relative_bias"][y - v + 1, x_ - u + 2, h]
      weights = np.exp(logits - logits.max())
      weights /= weights.sum()
      mixed = np.einsum("hw,hwK->K", weights, value[:, :, h])
      found = found + mixed @ p["out"]["kernel"][h]
    np.testing.assert_allclose(out[y, x_], found, rtol=1e-3, atol=1e-4)


def test_logits_and_softmax_are_float32_in_bfloat16():
  x = jnp.asarray(random(1, 6, 6, 4), jnp.bfloat16)
  module = window_lib.WindowAttention(2, (3, 3), (1, 1), dtype=jnp.bfloat16)
  variables = init_random(module, x)
  assert apply(module, variables, x).dtype == jnp.bfloat16
  lines = str(jax.make_jaxpr(module.apply)(variables, x)).splitlines()
  exponentials = [line for line in lines if " exp " in line]
  assert len(exponentials) == 1
  assert ":f32[" in exponentials[0]
  logits = [line for line in lines if "[1,4,2,9,9] = dot_general[" in line]
  assert len(logits) == 1
  assert ":f32[" in logits[0]
