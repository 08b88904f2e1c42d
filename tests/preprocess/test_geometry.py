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


# (height, width) of the image, size, fit, rounding -> (height, width).
KEPT = [
  # torchvision: int(248 * 500 / 375) = 330.
  ((375, 500), "248", "cover", "down", (248, 330)),
  ((500, 375), "248", "cover", "down", (330, 248)),
  ((375, 500), "248", "cover", "nearest", (248, 331)),
  # timm scales by the larger ratio: 224 / 375 is more than 192 / 500.
  ((375, 500), "(224, 192)", "cover", "nearest", (224, 299)),
  ((100, 400), "(96, 288)", "cover", "down", (96, 384)),
  ((400, 100), "(96, 288)", "cover", "down", (1152, 288)),
  ((375, 500), "248", "inside", "nearest", (186, 248)),
  ((3, 1000), "20", "inside", "down", (1, 20)),
  ((3, 1000), "20", "inside", "nearest", (1, 20)),
  ((7, 7), "(5, 5)", "inside", "down", (5, 5)),
]


@pytest.mark.parametrize(("have", "size", "fit", "rounding", "wanted"), KEPT)
def test_resize_keep_ratio(have, size, fit, rounding, wanted):
  text = f"resize_keep_ratio({size}, fit='{fit}', rounding='{rounding}')"
  assert run(text, np.zeros((*have, 1), np.uint8)).shape == (*wanted, 1)


@pytest.mark.parametrize(
  ("rounding", "sides", "margins"),
  [
    ("down", (5, 7, 9, 4), (0, 1, 2, 0)),
    # Python's round: 0.5 to 0, 1.5 to 2, 2.5 to 2.
    ("nearest", (5, 7, 9, 4), (0, 2, 2, 0)),
  ],
)
def test_margins_of_the_central_crop(rounding, sides, margins):
  for side, margin in zip(sides, margins, strict=True):
    out = run(f"central_crop(4, rounding='{rounding}')", grid(side, 6))
    assert out.shape == (4, 4, 2)
    assert out[0, 0, 0] == margin


@pytest.mark.parametrize(("rounding", "before"), [("down", 2), ("nearest", 1)])
def test_a_central_crop_is_filled(rounding, before):
  image = grid(5, 20) + 1
  out = run(f"central_crop(8, rounding='{rounding}', fill=(7, 9))", image)
  assert out.shape == (8, 8, 2)
  np.testing.assert_array_equal(
    out[before : before + 5], image[:, 6:14], strict=True
  )
  assert (out[:before] == (7, 9)).all() and (out[before + 5 :] == (7, 9)).all()


def test_fill_has_the_channels_of_the_image():
  with pytest.raises(errors.ConfigError, match=r"fill=\(0,\) has 1 channels"):
    run("central_crop(8, fill=(0,))", grid(4, 4))


@pytest.mark.parametrize("name", ["resize_small", "resize_keep_ratio"])
def test_a_long_and_narrow_image_is_refused_before_it_is_large(name):
  wanted = r"1 x 60000 px becomes 500 x 30000000 = 15000000000 pixels"
  with pytest.raises(errors.DataError, match=wanted):
    run(f"{name}(500)", np.zeros((1, 60_000, 1), np.uint8))
