"""Attention rollout against products written out, and what is drawn of it."""

import math

import numpy as np
from PIL import Image
import pytest

from tests.analysis import weights
from vit_jax.analysis import rollout

GRIDS = [(2, 3), (3, 1), (2, 2)]


def written_out(w):
  """Rollout of one image; w is [L, H, N, N]."""
  layers, heads, n, _ = w.shape
  total = [[float(i == j) for j in range(n)] for i in range(n)]
  for layer in range(layers):
    mixed = [
      [
        0.5 * sum(float(w[layer, h, i, j]) for h in range(heads)) / heads
        + 0.5 * (i == j)
        for j in range(n)
      ]
      for i in range(n)
    ]
    mixed = [[x / sum(row) for x in row] for row in mixed]
    total = [
      [sum(mixed[i][k] * total[k][j] for k in range(n)) for j in range(n)]
      for i in range(n)
    ]
  return np.array(total)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("class_token", [0, 1])
def test_as_written_out(grid, class_token):
  w = weights.attention(3, 2, 2, math.prod(grid) + class_token)
  found = rollout.rollout(w)
  want = [written_out(w[:, b]) for b in range(2)]
  assert found.dtype == np.float64
  np.testing.assert_allclose(found, want, rtol=1e-12)
  np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=0, atol=1e-14)


def test_layers_are_multiplied_from_the_first_up():
  # The second layer's token 0 looks at 1, the first layer's token 1 at 2.
  first, second = np.eye(3), np.eye(3)
  first[1], second[0] = [0, 0, 1], [0, 1, 0]
  rolled = rollout.rollout(np.stack([first, second])[:, None, None])
  np.testing.assert_array_equal(rolled[0, 0], [0.5, 0.25, 0.25])


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("pool", ["gap", "map", "patches", "token"])
def test_what_represents_the_image(grid, pool):
  patches = math.prod(grid)
  own = int(pool in ("token", "patches"))
  rolled = rollout.rollout(weights.attention(2, 2, 2, patches + own))
  probe = weights.attention(1, 2, 3, patches + own, seed=1)[0, :, :, 0]
  found = rollout.relevance(rolled, grid, pool, probe)
  assert found.shape == (2, *grid)
  for b in range(2):
    rows = {
      "token": rolled[b, 0],
      "gap": sum(rolled[b]) / patches,
      "patches": sum(rolled[b, 1:]) / patches,
      "map": sum(
        sum(probe[b, :, k].astype(float)) / 3 * rolled[b, k]
        for k in range(patches)
      ),
    }
    want = rows[pool][own:]
    np.testing.assert_allclose(found[b].ravel(), want, rtol=1e-6)
    # Without a class token nothing is lost.
    assert found[b].sum() < 1 - 1e-3 if own else abs(want.sum() - 1) < 1e-6


def test_opacity_is_brightest_where_the_patch_is():
  relevance = np.full((2, 4), 0.01)
  relevance[0, 3] = 0.5
  mask = rollout.opacity(relevance, (16, 32), (8, 8))
  assert mask.shape == (16, 32)
  assert mask.min() == 0
  assert mask.max() == 1
  y, x = np.unravel_index(mask.argmax(), mask.shape)
  assert y < 8
  assert x >= 24
  assert mask[:, :16].max() < 0.3
  # Larger numbers of the same proportions are the same map.
  np.testing.assert_allclose(
    rollout.opacity(7 * relevance, (16, 32), (8, 8)), mask, atol=1e-12
  )


def test_blur_follows_the_patch():
  relevance = np.zeros((5, 5))
  relevance[2, 2] = 1
  mask = rollout.opacity(relevance, (40, 40), (2, 8))
  down, across = mask[:, 20], mask[20]
  assert (across > 0.5).sum() > 2 * (down > 0.5).sum()


def test_enlarged_as_in_pillow():
  rng = np.random.default_rng(0)
  small = rng.random((5, 7), np.float32)
  # A blur that does nothing leaves the enlarged map, spread from 0 to 1.
  found = rollout.opacity(small.astype(float), (40, 42), (1e-3, 1e-3))
  large = np.asarray(Image.fromarray(small).resize((42, 40), Image.LANCZOS))
  want = (large - large.min()) / (large.max() - large.min())
  np.testing.assert_allclose(found, want, rtol=0, atol=1e-6)


def test_an_even_map_leaves_the_image():
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (8, 12, 3), np.uint8)
  mask = rollout.opacity(np.full((2, 3), 1 / 6), (8, 12), (4, 4))
  np.testing.assert_array_equal(mask, 1)
  np.testing.assert_array_equal(rollout.overlay(image, mask), image)
  half = rollout.overlay(image, np.full((8, 12), 0.5))
  np.testing.assert_array_equal(half, np.rint(image / 2))
