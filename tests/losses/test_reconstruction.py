"""Patches, colours and their loss against loops and float64."""

import jax.numpy as jnp
import numpy as np

from vit_jax.losses import reconstruction

IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 8, 12, 3))
GRID = (2, 3)


def test_patches_are_cut_in_raster_order():
  found = np.asarray(reconstruction.patches(jnp.asarray(IMAGES), GRID))
  assert found.shape == (2, 6, 4, 4, 3)
  for i in range(6):
    y, x = 4 * (i // 3), 4 * (i % 3)
    cut = IMAGES[:, y : y + 4, x : x + 4].astype(np.float32)
    np.testing.assert_array_equal(found[:, i], cut)


def test_mean_colours_of_patches_that_are_not_square():
  patches = np.random.default_rng(1).uniform(0, 1, (2, 5, 8, 4, 3))
  found = reconstruction.mean_colours(jnp.asarray(patches), 4)
  assert found.shape == (2, 5, 16, 3)
  for i in range(16):
    y, x = 2 * (i // 4), i % 4
    mean = patches[:, :, y : y + 2, x].mean(axis=2)
    np.testing.assert_allclose(found[:, :, i], mean, rtol=1e-6)
  whole = reconstruction.mean_colours(jnp.asarray(patches), 1)
  mean = patches.mean(axis=(2, 3))
  np.testing.assert_allclose(whole[:, :, 0], mean, rtol=1e-6)


def test_colour_classes():
  """Eight equal parts a channel, red counts most; beyond the ends clipped."""
  colours = [
    *([0, 0, 0], [1, 1, 1], [0.999, 0.5, 0.124], [0.126, 0, 0.25]),
    *([-0.1, 1.1, 0.5], [0.874, 0.876, 0.01]),
  ]
  found = reconstruction.colour_classes(jnp.asarray(colours), 3)
  assert found.dtype == jnp.int32
  np.testing.assert_array_equal(
    found, [0, 511, 7 * 64 + 4 * 8, 64 + 2, 7 * 8 + 4, 6 * 64 + 7 * 8]
  )
  grey = reconstruction.colour_classes(jnp.asarray([[0.3], [0.7]]), 2)
  np.testing.assert_array_equal(grey, [1, 2])


def test_class_xent():
  rng = np.random.default_rng(2)
  logits = 3 * rng.standard_normal((2, 4, 5, 7))
  classes = rng.integers(0, 7, (2, 4, 5))
  p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
  expected = [-np.log(p[i][k]) for i, k in np.ndenumerate(classes)]
  found = reconstruction.class_xent(jnp.asarray(logits), jnp.asarray(classes))
  np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-5)
