"""Rectangles of an image erased."""

import numpy as np
import pytest

from tests.preprocess.host_ops import noise, run
from vit_jax.core import errors
from vit_jax.preprocess import erasing


def erased(text, shape=(60, 90, 3), seed=0):
  """Where a black image is not black any more."""
  return run(text, np.zeros(shape, np.uint8), seed)


def test_erasing_stays_within_area_and_aspect():
  shares, aspects, corners = [], [], set()
  for seed in range(300):
    out = erased("random_erasing(1.0, 0.1, 0.3, 0.5)", seed=seed)
    y, x = np.nonzero(out.any(axis=2))
    h, w = np.ptp(y) + 1, np.ptp(x) + 1
    assert h * w == len(y)
    # The mean colour of ImageNet, rounded.
    assert (out[y, x] == (124, 116, 104)).all()
    shares.append(h * w / (60 * 90))
    aspects.append(h / w)
    corners.add((y.min(), x.min()))
  assert 0.09 < min(shares) < 0.12 and 0.27 < max(shares) < 0.31
  assert 0.45 < min(aspects) < 0.6 and 1.7 < max(aspects) < 2.2
  assert len(corners) > 250


def test_erasing_modes():
  one = "random_erasing(1.0, 0.2, mode={!r}, mean=(0.5,), std=(0.1,))"
  out = erased(one.format("const"))
  assert set(out.ravel()) == {0, 128}
  colours = np.unique(erased(one.format("rand")).reshape(-1, 3), axis=0)
  assert len(colours) == 2 and len(set(colours[1])) > 1
  out = erased(one.format("pixel"), (400, 400, 3))
  x = out[out.any(axis=2)]
  assert abs(x.mean() - 127.5) < 1 and abs(x.std() - 25.5) < 1


def test_erasing_divides_the_area_among_the_rectangles():
  erase, rng = (
    erasing.RandomErasing(1.0, 0.3, 0.3, 1.0),
    np.random.default_rng(0),
  )
  assert erase._size(100, 100, 1, rng) == (55, 55)
  assert erase._size(100, 100, 3, rng) == (32, 32)
  counts = set()
  for seed in range(50):
    text = "random_erasing(1, 0.001, 0.001, 1, 'rand', 3, (0.5,), (0.2,))"
    out = erased(text, (200, 200, 3), seed)
    counts.add(len(np.unique(out[out.any(axis=2)], axis=0)))
  assert counts == {1, 2, 3}


def test_erasing_with_other_channels():
  with pytest.raises(errors.ConfigError, match="3 channels, the image 1"):
    run("random_erasing(1.0)", noise(4, 4, 1))


def test_erasing_leaves_an_image_where_nothing_fits():
  image = noise(1, 1)
  assert erasing.RandomErasing()._size(1, 1, 1, np.random.default_rng(0)) == (
    0,
    0,
  )
  np.testing.assert_array_equal(run("random_erasing(1.0)", image), image)
