"""Colour ops, erasing and their refusals."""

import colorsys
import itertools

import numpy as np
import pytest

from tests.preprocess.host_ops import noise, run
from vit_jax.core import errors
from vit_jax.preprocess import colour
from vit_jax.preprocess.pipeline import Pipeline


def test_hue_turns_as_colorsys_does():
  image = noise(20, 20)
  for turn in (-0.5, -0.13, 0.0, 0.25, 0.5):
    out = colour._hue(image, turn)
    wanted = np.empty(image.shape)
    for at in itertools.product(range(20), range(20)):
      h, s, v = colorsys.rgb_to_hsv(*(image[at] / 255))
      wanted[at] = colorsys.hsv_to_rgb((h + turn) % 1, s, v)
    off = np.abs(out - np.floor(wanted * 255.999))
    assert off.max() <= 1 and (off == 0).mean() > 0.99
  np.testing.assert_array_equal(colour._hue(image, 0.0), image)


def test_factors_by_hand():
  image = np.array([[[100, 50, 200], [0, 0, 0]]], np.uint8)
  out = colour._brightness(image, 1.5)
  np.testing.assert_array_equal(out, [[[150, 75, 255], [0, 0, 0]]])
  # Grey 29.89 + 29.35 + 22.8 = 82.04, cut off to 82; the mean is 41.
  out = colour._contrast(image, 0.5)
  np.testing.assert_array_equal(out, [[[70, 45, 120], [20, 20, 20]]])
  out = colour._saturation(image, 0.0)
  np.testing.assert_array_equal(out, [[[82, 82, 82], [0, 0, 0]]])
  out = colour._saturation(image, 2.0)
  np.testing.assert_array_equal(out, [[[118, 18, 255], [0, 0, 0]]])


def test_colour_jitter_draws_each_factor_from_its_range_in_any_order(
  monkeypatch,
):
  names = ("brightness", "contrast", "saturation", "hue")
  drawn, orders = {name: [] for name in names}, set()
  for name in names:

    def change(image, x, name=name):
      drawn[name].append(x)
      orders.add((name, sum(map(len, drawn.values())) % 4))
      return image

    monkeypatch.setattr(colour, f"_{name}", change)
  for seed in range(200):
    run("colour_jitter(0.4, 1.5, 0.2, 0.1)", noise(2, 2), seed)
  for name, low, high in (
    ("brightness", 0.6, 1.4),
    ("contrast", 0.0, 2.5),
    ("saturation", 0.8, 1.2),
    ("hue", -0.1, 0.1),
  ):
    x, reach = np.array(drawn[name]), (high - low) / 20
    assert len(x) == 200
    assert low <= x.min() < low + reach and high - reach < x.max() <= high
  assert len(orders) == 16


def test_colour_jitter_leaves_alone_what_is_zero(monkeypatch):
  for name in ("contrast", "saturation", "hue"):
    monkeypatch.setattr(colour, f"_{name}", None)
  assert not np.array_equal(run("colour_jitter(0.5)", noise(4, 4)), noise(4, 4))


@pytest.mark.parametrize(
  "op",
  [
    "colour_jitter(0.5, 0.5, 0.5, 0.5, p=0.3)",
    "random_grayscale(0.3)",
    "gaussian_blur(0.3)",
    "random_solarize(p=0.3)",
    "random_erasing(0.3)",
  ],
)
def test_probability(op):
  image = noise(9, 8)
  changed = sum(
    not np.array_equal(run(op, image, s), image) for s in range(300)
  )
  assert 60 < changed < 120
  np.testing.assert_array_equal(image, noise(9, 8))


def test_one_channel_is_grey_already():
  image = noise(8, 8, 1)
  for op in ("random_grayscale(1)", "colour_jitter(hue=0.5, saturation=0.9)"):
    np.testing.assert_array_equal(run(op, image), image)
  for op in ("gaussian_blur(1)", "colour_jitter(0.5)", "random_solarize(p=1)"):
    out = run(op, image)
    assert out.shape == image.shape and not np.array_equal(out, image)


def test_grayscale_keeps_three_channels():
  out = run("random_grayscale(1.0)", np.array([[[100, 50, 200]]], np.uint8))
  np.testing.assert_array_equal(out, [[[82, 82, 82]]])


def test_gaussian_blur_spreads_a_point():
  image = np.zeros((41, 41, 3), np.uint8)
  image[20, 20] = 255
  out = run("gaussian_blur(1.0, sigma=(1.0, 1.0))", image)[..., 0]
  y, x = np.mgrid[-20:21, -20:21]
  wanted = 255 / (2 * np.pi) * np.exp(-(x**2 + y**2) / 2)
  assert np.abs(out - wanted).max() <= 0.6
  flat = np.full((5, 5, 3), 77, np.uint8)
  np.testing.assert_array_equal(run("gaussian_blur(1.0)", flat), flat)


def test_solarize():
  image = np.array([[[0, 99, 100], [101, 254, 255]]], np.uint8)
  out = run("random_solarize(100, p=1.0)", image)
  np.testing.assert_array_equal(out, [[[0, 99, 155], [154, 1, 0]]])


REFUSED = {
  "colour_jitter": "colour_jitter.brightness=0.0, contrast, saturation and hue",
  "colour_jitter(-0.1)": "colour_jitter.brightness=-0.1 must be >= 0",
  "colour_jitter(0.1, hue=0.6)": "colour_jitter.hue=0.6 must be in [0, 0.5]",
  "colour_jitter(0.1, p=2)": "colour_jitter.p=2.0 must be in [0, 1]",
  "color_jitter(0.1)": "unknown op color_jitter; did you mean colour_jitter?",
  "normalize": "unknown op normalize; did you mean normalise?",
  "random_grayscale(-1)": "random_grayscale.p=-1.0 must be in [0, 1]",
  "gaussian_blur(2)": "gaussian_blur.p=2.0 must be in [0, 1]",
  "gaussian_blur(sigma=(0, 1))": "gaussian_blur.sigma=(0.0, 1.0) must be",
  "gaussian_blur(sigma=(2, 1))": "gaussian_blur.sigma=(2.0, 1.0) must be",
  "random_solarize(256)": "random_solarize.threshold=256 must be in [0, 255]",
  "random_erasing(1.1)": "random_erasing.probability=1.1 must be in [0, 1]",
  "random_erasing(1, 0)": "random_erasing.min_area=0.0 and",
  "random_erasing(1, 0.5)": "random_erasing.max_area=0.3333333333333333 must",
  "random_erasing(min_aspect=0)": "random_erasing.min_aspect=0.0 must be in",
  "random_erasing(count=0)": "random_erasing.count=0 must be > 0",
  "random_erasing(mode='red')": "random_erasing.mode=red is not one of",
  "random_erasing(mean=(1,))": "must have one number >= 0 for each channel",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
  with pytest.raises(errors.ConfigError) as caught:
    Pipeline.parse(text)
  assert REFUSED[text] in str(caught.value)
