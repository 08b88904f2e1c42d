"""Resizing against TensorFlow's numbers, and with Pillow."""

import json
import pathlib

import numpy as np
from PIL import Image
import pytest

from vit_jax.core import errors
from vit_jax.preprocess import resample
from vit_jax.preprocess.pipeline import Pipeline

GOLDEN = json.loads(
  (pathlib.Path(__file__).parent / "fixtures" / "resize.json").read_text()
)


def picture():
  y, x, c = np.meshgrid(
    *map(np.arange, GOLDEN["image"]["shape"]), indexing="ij"
  )
  wave = np.sin(y * (c + 1) / 7 + GOLDEN["image"]["k"])
  wave = wave * np.cos(x * (c + 2) / 11)
  image = np.round(127.5 + 127.5 * wave).astype(np.uint8)
  # A flat part, where TensorFlow rounds to the grey itself or to one less.
  image[20:40, 30:60] = (30, 31, 200)
  return image


def run(text, image, seed=0):
  example = {"image": image, "label": 0, "id": 7}
  rng = np.random.default_rng(seed)
  return Pipeline.parse(text).host(example, rng)["image"]


@pytest.mark.parametrize(
  "golden",
  GOLDEN["outputs"],
  ids=lambda g: f"{g['method']}-{g['antialias']}-{g['size']}",
)
def test_resize_equals_tensorflow(golden):
  size, method, antialias = (golden[k] for k in ("size", "method", "antialias"))
  out = run(f"resize({tuple(size)}, {method!r}, {antialias})", picture())
  assert out.shape == (*size, 3) and out.dtype == np.uint8
  off = np.abs(out[::7, ::9].astype(int) - golden["sample"])
  assert off.max() <= 1
  assert (off == 0).mean() >= 0.999
  # Nowhere more than one in a thousand is off by one.
  assert abs(int(out.sum()) - golden["sum"]) <= out.size / 1000


@pytest.mark.parametrize(
  ("method", "antialias"), [("bilinear", True), ("bicubic", False)]
)
def test_a_single_pixel_fills_the_result(method, antialias):
  image = np.array([[[7, 200, 255]]], np.uint8)
  out = resample.resize(image, 3, 5, method, antialias)
  np.testing.assert_array_equal(out, np.broadcast_to(image, (3, 5, 3)))


def test_the_fast_bilinear_is_off_by_one_level_at_most():
  image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
  for h, w in ((32, 48), (100, 91), (70, 13)):
    off = np.abs(
      resample.resize(image, h, w).astype(int)
      - resample.resize_fast(image, h, w)
    )
    assert off.max() <= 1
    assert (off == 0).mean() > 0.97


def test_inception_crop_has_the_methods_of_resize():
  image = picture()
  for how in ("method='area'", "method='bicubic', antialias=True"):
    out = run(
      f"inception_crop(24, area_min=100, aspect=(1.36, 1.361), {how})", image
    )
    np.testing.assert_array_equal(out, run(f"resize(24, {how})", image))


@pytest.mark.parametrize("method", ["area", "nearest"])
@pytest.mark.parametrize("name", ["resize", "resize_small", "inception_crop"])
def test_antialias_needs_a_kernel(name, method):
  with pytest.raises(errors.ConfigError) as caught:
    Pipeline.parse(f"{name}(4, method={method!r}, antialias=True)")
  assert f"{name}.antialias=True is for a kernel" in str(caught.value)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
  ("h", "w"), [(300, 500), (90, 70), (224, 300), (3, 224), (1, 1), (224, 224)]
)
def test_fast_is_cut_off_too_and_all_but_equal(h, w, channels):
  image = np.random.default_rng(h).integers(0, 256, (h, w, channels), np.uint8)
  wanted = resample.resize(image, 224, 224)
  found = resample.resize_fast(image, 224, 224)
  assert found.dtype == np.uint8
  assert found.flags.c_contiguous
  off = np.abs(found.astype(int) - wanted)
  assert off.max() <= 1
  assert (off > 0).mean() < 0.01


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
  "kernel", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
)
def test_pillows_kernels_are_pillows(kernel, channels):
  image = picture()[..., [0, 1, 2, 0]][..., :channels]
  filter_ = Image.Resampling[kernel.upper()]
  for h, w in ((17, 40), (90, 33), (120, 131)):
    out = run(f"resize(({h}, {w}), 'pillow_{kernel}')", image)
    assert out.shape == (h, w, channels) and out.dtype == np.uint8
    assert out.flags.c_contiguous
    for c in range(channels):
      plane = Image.fromarray(image[..., c]).resize((w, h), filter_)
      np.testing.assert_array_equal(out[..., c], np.asarray(plane))
