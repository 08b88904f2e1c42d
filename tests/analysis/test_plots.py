"""Curves and figures."""

import cv2
import numpy as np
import pytest

from vit_jax.analysis import plots


def test_many_points_are_averaged():
  values = np.arange(1201.0)
  thin = plots.thinned(values)
  assert len(thin) == 401
  np.testing.assert_array_equal(thin[:2], [1, 4])
  assert thin[-1] == 1200
  assert plots.thinned(values[:600]) is not None
  np.testing.assert_array_equal(plots.thinned(values[:600]), values[:600])


@pytest.mark.parametrize("grid", [(1, 1), (12, 1), (1, 12), (3, 4)])
def test_similarity_of_any_grid_is_of_a_sensible_size(grid):
  rng = np.random.default_rng(0)
  tiles = rng.uniform(-1, 1, (*grid, *grid))
  data = plots.similarity(tiles)
  assert data == plots.similarity(tiles)
  h, w, _ = decoded(data).shape
  assert 60 < h < 2400
  assert 120 < w < 2400


def test_colours_of_the_similarity():
  tiles = np.full((2, 2, 2, 2), -1.0)
  tiles[1, 0] = 1.0
  drawn = decoded(plots.similarity(tiles))
  # Viridis ends in this yellow, which the bar beside has as well.
  tile = (np.abs(drawn - np.array((253, 231, 37))) < 3).all(axis=-1)
  rows, columns = np.nonzero(tile[:, : drawn.shape[1] * 2 // 3])
  assert rows.min() > drawn.shape[0] / 3
  assert columns.max() < drawn.shape[1] / 2


def test_distances_of_a_single_patch_can_be_drawn():
  assert decoded(plots.attention_distance(np.zeros((2, 17)), 0.0)).size


def decoded(data):
  """RGB pixels of a PNG."""
  return cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1]
