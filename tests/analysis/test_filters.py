"""Principal components of filters against the covariance's eigenvectors."""

import numpy as np
import pytest

from tests.models.vit_cases import small
from vit_jax.analysis import filters
from vit_jax.models import hybrid


def kernel(shape, seed=0):
  """Filters of distinct variances around a mean that is far from zero."""
  rng = np.random.default_rng(seed)
  patch = shape[:3]
  scale = np.linspace(1, 3, np.prod(patch)).reshape(*patch, 1)
  x = 5 + scale * rng.standard_normal(shape)
  return x.astype(np.float32)


@pytest.mark.parametrize(
  ("shape", "n"),
  [
    ((4, 2, 3, 96), 24),
    ((4, 4, 1, 40), 16),
    # Of 10 filters less their mean, 9 directions are left.
    ((4, 2, 3, 10), 9),
    ((8, 8, 3, 200), 28),
  ],
)
def test_as_the_covariances_eigenvectors(shape, n):
  k = kernel(shape)
  found, share = filters.components(k)
  assert found.shape == (n, *shape[:3])
  x = np.array([k[..., d].ravel() for d in range(shape[-1])], np.float64)
  value, vector = np.linalg.eigh(np.cov(x, rowvar=False))
  value, vector = value[::-1], vector[:, ::-1].T
  np.testing.assert_allclose(share, value[:n] / value.sum(), rtol=1e-9)
  flat = found.reshape(n, -1)
  np.testing.assert_allclose(flat @ flat.T, np.eye(n), atol=1e-9)
  # But for the sign, which is the largest number's.
  same = (flat * vector[:n]).sum(axis=1)
  np.testing.assert_allclose(np.abs(same), 1, rtol=1e-7)
  largest = np.abs(flat).argmax(axis=1)
  assert (np.take_along_axis(flat, largest[:, None], axis=1) > 0).all()


def test_tiles_use_all_of_the_range_around_grey():
  tiles = np.array([[1, -0.5, 0, 0.25], [0.1, -0.05, 0, 0.025]])
  found = filters.shown(tiles.reshape(2, 2, 2, 1))
  want = [255, 64, 128, 159]
  np.testing.assert_array_equal(found.reshape(2, 4), [want, want])
  assert found.dtype == np.uint8


def test_filters_that_are_all_alike():
  found, share = filters.components(np.ones((2, 2, 3, 8), np.float32))
  assert np.isfinite(found).all()
  np.testing.assert_array_equal(share, 0)


def test_what_is_absent_says_why():
  assert not filters.absent(small(), 3)
  assert not filters.absent(small(), 1)
  assert "5 channels" in filters.absent(small(), 5)
  mixed = hybrid.variant("R26+S/32")
  assert "feature map" in filters.absent(mixed, 2048)
