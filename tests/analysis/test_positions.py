"""Similarity of position embeddings against sums written out."""

import numpy as np
import pytest

from tests.models.vit_cases import images, noisy_params, small
from vit_jax.analysis import positions
from vit_jax.models import vit

# 3 x 4 patches.
GH, GW = 3, 4


def params_of(config):
  return noisy_params(vit.Model(config), images())


def written_out(a, b):
  dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
  lengths = [sum(float(x) ** 2 for x in v) ** 0.5 for v in (a, b)]
  return dot / (lengths[0] * lengths[1])


def check(table, at):
  """Similarity of a table [gh * gw, D]; `at` gives the vector of (r, c)."""
  found = positions.similarity(table, (GH, GW))
  assert found.shape == (GH, GW, GH, GW)
  for r, c, y, x in np.ndindex(found.shape):
    want = written_out(at(r, c), at(y, x))
    np.testing.assert_allclose(found[r, c, y, x], want, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
  "fields",
  [
    dict(pool="token"),
    dict(pool="token", class_token_position=False),
    dict(pool="gap"),
    dict(pool="gap", posemb_at="shared"),
  ],
)
def test_one_vector_for_each_patch(fields):
  config = small(**fields)
  params = params_of(config)
  (table,) = positions.tables(config, params)
  have = np.asarray(params["posemb"]["table"])
  own = len(have) - GH * GW
  assert own == (fields == {"pool": "token"})
  check(table, lambda r, c: have[own + r * GW + c])


def test_rows_and_columns():
  config = small(posemb="learned_2d")
  params = params_of(config)
  (table,) = positions.tables(config, params)
  columns, rows = (params["posemb"][k] for k in ("columns", "rows"))
  check(table, lambda r, c: np.concatenate([columns[c], rows[r]]))


def test_a_table_for_each_layer():
  config = small(posemb_at="every_layer")
  params = params_of(config)
  tables = positions.tables(config, params)
  have = np.asarray(params["blocks"]["posemb"]["table"])
  assert len(tables) == len(have) == config.depth
  for layer, table in zip(have, tables, strict=True):
    check(table, lambda r, c, layer=layer: layer[1 + r * GW + c])


def test_sines_and_cosines():
  config = small(posemb="sincos_2d", pool="gap")
  (table,) = positions.tables(config, {})

  def at(r, c):
    frequency = [10_000 ** (-i / 3) for i in range(4)]
    return [f(a * w) for a in (c, r) for f in (np.sin, np.cos)
            for w in frequency]  # fmt: skip

  np.testing.assert_allclose(table[GW + 2], at(1, 2), atol=1e-6)
  check(table, lambda r, c: table[r * GW + c])


def test_a_vector_of_zeros_is_like_none():
  table = np.ones((2, 3), np.float32)
  table[1] = 0
  found = positions.similarity(table, (1, 2))
  np.testing.assert_allclose(found.reshape(2, 2), [[1, 0], [0, 0]])


def test_what_is_absent_says_why():
  assert not positions.absent(small())
  assert "no position" in positions.absent(small(posemb="none"))
  relative = small(posemb="relative", posemb_at="shared")
  assert "logits" in positions.absent(relative)
