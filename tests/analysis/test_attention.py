"""Mean attention distance against sums written out."""

import math

import numpy as np
import pytest

from tests.analysis import weights
from vit_jax.analysis import attention

GRIDS = [(2, 3), (3, 2), (3, 3), (1, 4), (1, 1)]
CELL = (4, 2)


def written_out(w, grid, cell):
  """Distance of one layer, image and head; w is [N, N]."""
  (gh, gw), (down, right) = grid, cell
  own = len(w) - gh * gw
  places = [(r * down, c * right) for r in range(gh) for c in range(gw)]
  total = 0.0
  for q, (qy, qx) in enumerate(places):
    for k, (ky, kx) in enumerate(places):
      far = math.sqrt((qy - ky) ** 2 + (qx - kx) ** 2)
      total += float(w[own + q, own + k]) * far
  return total / len(places)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("class_token", [0, 1])
def test_as_written_out(grid, class_token):
  w = weights.attention(2, 3, 2, math.prod(grid) + class_token)
  found = attention.mean_distance(w, grid, CELL)
  want = [
    [[written_out(head, grid, CELL) for head in image] for image in layer]
    for layer in w
  ]
  assert found.dtype == np.float64
  np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)


def test_looking_at_oneself_and_at_the_neighbour():
  own = np.eye(6)
  right = np.eye(6)[[1, 2, 0, 4, 5, 3]]
  w = np.stack([own, right])[None, None]
  found = attention.mean_distance(w, (2, 3), CELL)
  # One to the right is 2 px; from the last column to the first, 4 px.
  np.testing.assert_allclose(found[0, 0], [0, (2 + 2 + 4) / 3])


def test_attention_to_the_class_token_has_no_distance():
  w = np.full((1, 1, 1, 5, 5), 0.2)
  apart = attention.distances((2, 2), CELL)
  found = attention.mean_distance(w, (2, 2), CELL)
  np.testing.assert_allclose(found, 0.8 * apart.mean())
