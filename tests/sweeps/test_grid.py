"""Settings: products, zips, draws."""

import math

import pytest

from vit_jax.core import errors
from vit_jax.sweeps import grid


def test_product_and_sum_and_zip():
  a, b = grid.axis("a", (1, 2)), grid.axis(":b", "xy")
  assert grid.product(a, b) == (
    {"a": 1, ":b": "x"},
    {"a": 1, ":b": "y"},
    {"a": 2, ":b": "x"},
    {"a": 2, ":b": "y"},
  )
  assert grid.zipped(a, b) == ({"a": 1, ":b": "x"}, {"a": 2, ":b": "y"})
  assert a + b == ({"a": 1}, {"a": 2}, {":b": "x"}, {":b": "y"})


def test_draws_are_those_of_their_seed():
  ranges = dict(
    uniform={"u": (2.0, 3.0)},
    log_uniform={"lr": (1e-4, 1e-1)},
    choice={"k": ("x", "y")},
  )
  first = grid.draw(200, 0, **ranges)
  assert first == grid.draw(200, 0, **ranges)
  assert first != grid.draw(200, 1, **ranges)
  assert all(2 <= s["u"] <= 3 and 1e-4 <= s["lr"] <= 0.1 for s in first)
  # As many below the middle of the logarithms as above.
  below = sum(s["lr"] < math.sqrt(1e-4 * 1e-1) for s in first)
  assert 70 < below < 130
  assert {s["k"] for s in first} == {"x", "y"}


BAD = [
  (lambda: grid.zipped(grid.axis("a", (1, 2)), grid.axis("b", (1,))),
   "different lengths: 2, 1"),
  (lambda: grid.product(grid.axis("a", (1,)), grid.axis("a", (2,))),
   "a is set by two parts"),
  (lambda: grid.draw(1, 0, log_uniform={"lr": (0.0, 1.0)}),
   "log_uniform of lr: 0 < 0.0 <= 1.0 must hold"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD)
def test_wrong_settings(make, message):
  with pytest.raises(errors.ConfigError, match=message):
    make()
