"""RandAugment against the published code's numbers, and its draws."""

import json
import pathlib

import numpy as np
import pytest

from tests.preprocess.host_ops import noise, run
from vit_jax.core import errors
from vit_jax.preprocess import randaug
from vit_jax.preprocess.pipeline import Pipeline

GOLDEN = json.loads(
  (pathlib.Path(__file__).parent / "fixtures" / "randaug_ops.json").read_text()
)
LEVELS = GOLDEN["level_to_argument"]["levels"]


def picture():
  y, x, c = np.meshgrid(
    *map(np.arange, GOLDEN["image"]["shape"]), indexing="ij"
  )
  wave = np.sin(y * (c + 1) / 7 + GOLDEN["image"]["k"])
  wave = wave * np.cos(x * (c + 2) / 11)
  return np.round(127.5 + 90 * wave).astype(np.uint8)


@pytest.mark.parametrize(
  "golden", GOLDEN["outputs"], ids=lambda g: f"{g['op']}{g['args'][:1]}"
)
def test_op_equals_the_published_one(golden):
  value = golden["args"][0] if golden["args"] else 0
  out = randaug.OPS[golden["op"]](picture(), value)
  assert out.dtype == np.uint8 and out.shape == (61, 83, 3)
  off = np.abs(out[::6, ::8].astype(int) - golden["sample"])
  assert off.max() <= 1
  assert (off == 0).mean() >= 0.99
  assert abs(out.mean() - golden["mean"]) < 0.01


@pytest.mark.parametrize("level", LEVELS)
def test_arguments_at_a_magnitude(level):
  ours = {k: randaug.argument(k, int(level)) for k in LEVELS[level]}
  assert ours == {k: (v or [0])[0] for k, v in LEVELS[level].items()}
  assert set(ours) == {*randaug.OPS, "Cutout"} and len(ours) == 16


def test_ops_keep_shape_and_type_of_any_image():
  for shape in ((1, 1, 3), (2, 9, 3), (9, 2, 1), (5, 40, 1)):
    for name, apply in randaug.OPS.items():
      image = noise(*shape)
      before = image.copy()
      out = apply(image, randaug.argument(name, 9))
      assert out.shape == shape and out.dtype == np.uint8, name
      np.testing.assert_array_equal(image, before)


def test_autocontrast_leaves_a_constant_channel():
  image = np.array([[[10, 7, 0], [20, 7, 255], [40, 7, 9]]], np.uint8)
  out = randaug.OPS["AutoContrast"](image, 0)
  np.testing.assert_array_equal(out[..., 0], [[0, 85, 255]])
  np.testing.assert_array_equal(out[..., 1:], image[..., 1:])


def test_equalize_with_empty_bins():
  # 600 pixels: 300 of grey 5, 200 of 6, 100 of 250; a step is 500 // 255 = 1.
  grey = np.repeat([5, 6, 250], [300, 200, 100]).astype(np.uint8)
  image = np.repeat(grey.reshape(20, 30, 1), 3, axis=2)
  out = randaug.OPS["Equalize"](image, 0)[..., 0].ravel()
  np.testing.assert_array_equal(out, np.repeat([0, 255, 255], [300, 200, 100]))
  # Fewer than 255 pixels below the last grey: nothing to spread.
  few = image[:5]
  np.testing.assert_array_equal(randaug.OPS["Equalize"](few, 0), few)


def test_posterize_keeps_at_least_one_bit():
  image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
  for bits, kept in ((0, 0x80), (1, 0x80), (3, 0xE0), (8, 0xFF)):
    out = randaug.OPS["Posterize"](image, bits)
    np.testing.assert_array_equal(out, image & kept)


def test_solarize_threshold_wraps_at_256():
  """As `image < 256` does in TensorFlow for a uint8 image."""
  image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
  solarize = randaug.OPS["Solarize"]
  for full in (0, 256, 512):
    np.testing.assert_array_equal(solarize(image, full), 255 - image)
  np.testing.assert_array_equal(solarize(image, 384), solarize(image, 128))
  out = solarize(image, 255).ravel()
  np.testing.assert_array_equal(out, [*range(255), 0])


def test_solarize_add():
  image = np.array([[[0, 127, 128]]], np.uint8)
  out = randaug.OPS["SolarizeAdd"](image, 200)
  np.testing.assert_array_equal(out, [[[200, 255, 128]]])


def test_sharpness_leaves_the_border_and_cuts_off_flat_areas():
  image = noise(6, 40)
  out = randaug.OPS["Sharpness"](image, 0.0)
  for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
    np.testing.assert_array_equal(out[edge], image[edge])
  assert (out[1:-1, 1:-1] != image[1:-1, 1:-1]).mean() > 0.9
  # The blurs of flat greys that TensorFlow 2.21's float32 makes one less.
  lower = {3, 6, 12, 15, 23, 24, 30, 31, 46, 47, 48, 49, 60, 61, 62, 79}
  for width in range(9, 26):
    for grey in range(80):
      flat = np.full((3, width, 3), grey, np.uint8)
      out = randaug.OPS["Sharpness"](flat, 0.0)[1, 1:-1]
      assert set(out.ravel().tolist()) == {grey - (grey in lower)}


def test_warps_go_the_published_way():
  image = noise(5, 7)
  moved = randaug.OPS["TranslateX"](image, 2.0)
  np.testing.assert_array_equal(moved[:, :-2], image[:, 2:])
  assert (moved[:, -2:] == 128).all()
  moved = randaug.OPS["TranslateY"](image, -1.0)
  np.testing.assert_array_equal(moved[1:], image[:-1])
  # Halves go away from zero: rows move by 0, 1 (0.5), 1, 2 (1.5) and 2.
  sheared = randaug.OPS["ShearX"](image, 0.5)
  for y, shift in enumerate((0, 1, 1, 2, 2)):
    np.testing.assert_array_equal(sheared[y, : 7 - shift], image[y, shift:])
    assert (sheared[y, 7 - shift :] == 128).all()
  turned = randaug.OPS["Rotate"](noise(6, 6), 180.0)
  np.testing.assert_array_equal(turned, noise(6, 6)[::-1, ::-1])


def test_cutout_is_cut_off_at_the_border():
  out = randaug.cutout(np.zeros((6, 8, 3), np.uint8), 2, 1, 7)
  wanted = np.zeros((6, 8, 3))
  wanted[:3, 5:] = 128
  np.testing.assert_array_equal(out, wanted)
  image = noise(6, 8)
  np.testing.assert_array_equal(randaug.cutout(image, 0, 3, 3), image)


def test_contrast_quirk_and_its_correction():
  image = np.full((32, 32, 3), 100, np.uint8)
  published = randaug.Randaug(1, 0)._apply(
    "Contrast", image, np.random.default_rng(0)
  )
  # 32 * 32 / 256 = 4; 4 + 0.1 * 96 = 13.6, cut off.
  assert (published == 13).all()
  # 224 * 224 / 256 = 196; larger images end at 255.
  for side, pull in ((224, 196), (250, 244), (300, 255)):
    black = np.zeros((side, side, 3), np.uint8)
    out = randaug.OPS["Contrast"](black, 0.0)
    assert (out == pull).all()
  meant = randaug.Randaug(1, 0, "mean")._apply(
    "Contrast", image, np.random.default_rng(0)
  )
  assert (meant == 100).all()


def test_every_op_is_drawn_and_both_signs(monkeypatch):
  drawn = []

  def record(name):
    return lambda image, value: drawn.append((name, value)) or image

  for name in randaug.OPS:
    monkeypatch.setitem(randaug.OPS, name, record(name))
  cut = []
  monkeypatch.setattr(
    randaug, "cutout", lambda image, *at: cut.append(at) or image
  )
  for seed in range(400):
    run("randaug(2, 10)", noise(4, 6), seed)
  assert len(drawn) + len(cut) == 800
  counts = {n: sum(d == n for d, _ in drawn) for n in randaug.OPS}
  assert min([len(cut), *counts.values()]) > 25
  assert max([len(cut), *counts.values()]) < 85
  values = {n: {v for d, v in drawn if d == n} for n in randaug.OPS}
  for name in ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"):
    value = randaug.argument(name, 10)
    assert values.pop(name) == {value, -value}
  assert values == {n: {randaug.argument(n, 10)} for n in values}
  assert {reach for reach, _, _ in cut} == {40}
  assert {y for _, y, _ in cut} == set(range(4))
  assert {x for _, _, x in cut} == set(range(6))


def test_the_draw_depends_on_the_generator_alone():
  image = picture()
  first, again, other = (run("randaug(2, 15)", image, s) for s in (3, 3, 4))
  np.testing.assert_array_equal(first, again)
  assert not np.array_equal(first, other)


def test_augreg_presets():
  found = {
    name: (preset.ops, preset.mixup) for name, preset in randaug.PRESETS.items()
  }
  # Section 3.3, arXiv:2106.10270.
  assert found == {
    "none": ("", 0.0),
    "light1": ("|randaug(2, 0)", 0.0),
    "light2": ("|randaug(2, 10)", 0.2),
    "medium1": ("|randaug(2, 15)", 0.2),
    "medium2": ("|randaug(2, 15)", 0.5),
    "strong1": ("|randaug(2, 20)", 0.5),
    "strong2": ("|randaug(2, 20)", 0.8),
  }
  text = f"decode{randaug.preset('strong1').ops}"
  assert Pipeline.parse(text).ops[1] == randaug.Randaug(2, 20)
  with pytest.raises(errors.ConfigError, match="did you mean light2"):
    randaug.preset("light3")


REFUSED = {
  "randaug": "randaug needs num_layers, magnitude",
  "randaug(0, 10)": "randaug.num_layers=0 must be > 0; leave randaug out",
  "randaug(2, 31)": "randaug.magnitude=31 must be in [0, 30]",
  "randaug(2, -1)": "randaug.magnitude=-1 must be in [0, 30]",
  "randaug(2, 9.5)": "randaug.magnitude=9.5 is a float",
  "randaug(2, magnitud=9)": "did you mean randaug.magnitude?",
  "randaug(2, 9, 'median')": "randaug.contrast=median is not one of:",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
  with pytest.raises(errors.ConfigError) as caught:
    Pipeline.parse(text)
  assert REFUSED[text] in str(caught.value)
