import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.nn import posemb


def test_sincos_2d_by_hand():
  """Width 8 has the frequencies 1 and 1/10000; x runs along a row."""
  table = np.asarray(posemb.sincos_2d((2, 3), 8))
  assert table.shape == (6, 8)
  y, x = 1, 2
  row = [np.sin(x), np.sin(x / 1e4), np.cos(x), np.cos(x / 1e4)]
  row += [np.sin(y), np.sin(y / 1e4), np.cos(y), np.cos(y / 1e4)]
  np.testing.assert_allclose(table[y * 3 + x], row, rtol=1e-6)


def table(kind, class_token, class_token_position):
  module = posemb.PositionTable(
    kind, (2, 3), 4, class_token, class_token_position
  )
  return module.init_with_output(jax.random.key(0))


def test_learned_2d_concatenates_columns_and_rows():
  found, variables = table("learned_2d", False, True)
  params = variables["params"]
  assert set(params) == {"columns", "rows"}
  expected = np.concatenate([params["columns"][1], params["rows"][1]])
  np.testing.assert_array_equal(found[1 * 3 + 1], expected)


@pytest.mark.parametrize("kind", ["learned_1d", "learned_2d"])
def test_class_token_has_the_first_row(kind):
  with_row, _ = table(kind, True, True)
  without, _ = table(kind, True, False)
  no_token, _ = table(kind, False, True)
  assert (with_row.shape, no_token.shape) == ((7, 4), (6, 4))
  assert with_row[0].any()
  np.testing.assert_array_equal(without[0], 0.0)
  assert without[1:].any()


@pytest.mark.parametrize("positions", [1, 4, 5])
def test_relative_logits_by_loops(positions):
  """5 tokens, of which the last ones have a position."""
  rng = np.random.default_rng(0)
  query = rng.standard_normal((2, 5, 3, 4), np.float32)
  offsets = rng.standard_normal((2 * positions - 1, 3, 4), np.float32)
  expected = np.zeros((2, 3, 5, 5))
  for q in range(positions):
    for k in range(positions):
      embedding = offsets[q - k + positions - 1]
      i, j = (5 - positions + p for p in (q, k))
      expected[:, :, i, j] = np.einsum("BHK,HK->BH", query[:, i], embedding)
  found = posemb.relative_logits(jnp.asarray(query), jnp.asarray(offsets))
  np.testing.assert_allclose(found, expected, atol=1e-5)
