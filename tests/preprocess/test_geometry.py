"""Resizes, crops, flips and shifts."""

import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.preprocess import geometry, op
from vit_jax.preprocess.pipeline import Pipeline


def rng(seed=0):
  return np.random.default_rng(seed)


def run(text, image, seed=0):
  example = {"image": image, "label": 0, "id": 7}
  return Pipeline.parse(text).host(example, rng(seed))["image"]


@pytest.mark.parametrize("name", ["central_crop", "random_crop"])
def test_too_small_for_a_crop(name):
  with pytest.raises(errors.DataError, match="record 7: the image is 5 x 9"):
    run(f"{name}(6)", np.zeros((5, 9, 3), np.uint8))


def grid(h, w):
  """A picture whose pixel says where it is: (row, column)."""
  y, x = np.mgrid[:h, :w]
  return np.stack([y, x], -1).astype(np.uint8)


def test_random_crop_reaches_every_place():
  crops = [run("random_crop((3, 4))", grid(5, 6), seed) for seed in range(200)]
  assert {c.shape for c in crops} == {(3, 4, 2)}
  places = {tuple(c[0, 0].tolist()) for c in crops}
  assert places == {(y, x) for y in range(3) for x in range(3)}


def test_random_shift():
  image = grid(4, 4) + 1
  for seed in range(60):
    out = run("random_shift(2)", image, seed)
    dy, dx = rng(seed).integers(5, size=2) - 2
    wanted = np.zeros_like(image)
    for y in range(4):
      for x in range(4):
        if 0 <= y + dy < 4 and 0 <= x + dx < 4:
          wanted[y, x] = image[y + dy, x + dx]
    np.testing.assert_array_equal(out, wanted)


def test_random_shift_with_edges_and_one_channel():
  image = grid(4, 4)[..., :1] + 1
  out = run("random_shift(9, pad='edge')", image, seed=3)
  assert out.shape == (4, 4, 1)
  assert out.min() >= 1


def test_flip():
  image = grid(2, 5)
  np.testing.assert_array_equal(run("flip_lr(1)", image), image[:, ::-1])
  np.testing.assert_array_equal(run("flip_lr(0)", image), image)
  flipped = sum(
    not np.array_equal(run("flip_lr", image, s), image) for s in range(400)
  )
  assert 150 < flipped < 250


def test_inception_crop_stays_within_area_and_aspect():
  crop = geometry.InceptionCrop(op.Size(8, 8), 10, 60, aspect=(0.5, 2.0))
  h, w = 60, 90
  shares, aspects, corners = [], [], []
  for seed in range(500):
    y, x, part = crop.draw(h, w, rng(seed))
    assert 0 <= y <= h - part.h and 0 <= x <= w - part.w
    shares.append(part.h * part.w / (h * w))
    aspects.append(part.w / part.h)
    corners.append((y, x))
  assert 0.1 <= min(shares) < 0.13 and 0.5 < max(shares) <= 0.6
  # Whole pixels: the smallest part is about 15 px wide.
  assert 0.45 < min(aspects) < 0.6 and 1.8 < max(aspects) < 2.2
  assert len(set(corners)) > 400


def test_inception_crop_takes_the_whole_image_where_nothing_fits():
  out = run("inception_crop((2, 2), area_min=100)", grid(2, 40))
  assert out.shape == (2, 2, 2)
  # Half-pixel bilinear samples columns 9.5 and 29.5, cut off.
  np.testing.assert_array_equal(out[0, :, 1], [9, 29])
