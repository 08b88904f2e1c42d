"""Ops on images: the published evaluation ops, decoding, and random ops."""

import json
import pathlib
import struct

import cv2
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.preprocess import decode
from vit_jax.preprocess.pipeline import Pipeline

GOLDEN = json.loads(
  pathlib.Path(__file__).with_name("pp_eval.json").read_text()
)


def rng(seed=0):
  return np.random.default_rng(seed)


def run(text, image, seed=0):
  example = {"image": image, "label": 0, "id": 7}
  return Pipeline.parse(text).host(example, rng(seed))["image"]


def formula_picture():
  h, w, c = GOLDEN["image"]["shape"]
  y, x, c = np.meshgrid(*map(np.arange, (h, w, c)), indexing="ij")
  wave = np.sin(y * (c + 1) / 7 + GOLDEN["image"]["k"])
  wave = wave * np.cos(x * (c + 2) / 11)
  return np.round(127.5 + 127.5 * wave).astype(np.uint8)


@pytest.mark.parametrize("name", GOLDEN["outputs"])
def test_evaluation_ops_equal_the_published_ones(name):
  golden = GOLDEN["outputs"][name]
  pipeline = Pipeline.parse(golden["pp"])
  out = run(golden["pp"], formula_picture())
  out = np.asarray(pipeline.device({"image": out[None]})["image"])[0]
  assert list(out.shape) == golden["shape"]
  is_float = out.dtype == np.float32
  off = np.abs(out[::5, ::7].astype(float) - golden["sample"])
  # One grey level is 2 / 255 of the range -1..1.
  level = 2 / 255 if is_float else 1
  assert off.max() <= level + 1e-6
  assert (off <= (1e-3 if is_float else 0)).mean() >= 0.999
  assert abs(out.mean() - golden["mean"]) < 1e-3 * (1 if is_float else 20)
  assert abs(out.std() - golden["std"]) < 1e-3 * (1 if is_float else 20)


def test_area_enlarges_by_repeating():
  image = np.array([[0, 100]], np.uint8)[..., None]
  out = run("resize((2, 4), 'area')", image)[..., 0]
  np.testing.assert_array_equal(out, [[0, 0, 100, 100]] * 2)


def encode(kind, image, *options):
  return cv2.imencode(kind, image[..., ::-1], list(options))[1].tobytes()


def test_decode_png_is_exact_and_rgb():
  image = rng().integers(0, 256, (5, 7, 3), np.uint8)
  np.testing.assert_array_equal(run("decode", encode(".png", image)), image)


@pytest.mark.parametrize("progressive", [0, 1])
def test_decode_jpeg(progressive):
  image = np.zeros((16, 24, 3), np.uint8) + np.array([200, 30, 90], np.uint8)
  data = encode(".jpg", image, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
  assert decode.header_size(data) == (16, 24)
  out = run("decode", data)
  assert out.shape == image.shape
  assert np.abs(out.astype(int) - image).max() <= 4


@pytest.mark.parametrize("channels", [1, 3])
def test_decode_gives_the_channels_asked_for(channels):
  grey = rng().integers(0, 256, (4, 6, 1), np.uint8)
  png = cv2.imencode(".png", grey)[1].tobytes()
  for image in (png, grey):
    out = run(f"decode({channels})", image)
    np.testing.assert_array_equal(out, np.repeat(grey, channels, axis=2))


def test_decode_ignores_the_camera_orientation():
  data = encode(".jpg", np.zeros((8, 16, 3), np.uint8))
  # An EXIF segment that says "turned by 90 degrees" (orientation 6).
  tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
  exif = b"Exif\0\0" + tiff
  segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
  assert run("decode", data[:2] + segment + data[2:]).shape == (8, 16, 3)


PNG = encode(".png", np.zeros((64, 64, 3), np.uint8))


JPEG = encode(".jpg", rng().integers(0, 256, (64, 64, 3), np.uint8))


_FRAME = JPEG.index(b"\xff\xc0")


def jpeg_claiming(h, w):
  return JPEG[: _FRAME + 5] + struct.pack(">HH", h, w) + JPEG[_FRAME + 9 :]


HOSTILE = {
  "empty": (b"", "is empty"),
  "text": (
    b"# readme",
    "no JPEG, PNG, GIF, BMP, WebP, TIFF or AVIF (it begins",
  ),
  "png cut off": (PNG[:-20], "cut off after"),
  "png header cut off": (PNG[:18], "cut off after 18 bytes"),
  "png damaged": (PNG[:40] + b"\0" * 12 + PNG[52:], "cannot be decoded"),
  "jpeg cut off": (JPEG[: len(JPEG) // 2], "cut off after"),
  "jpeg header cut off": (JPEG[: _FRAME + 3], "cut off after"),
  "jpeg of markers only": (b"\xff\xd8" + b"\xff" * 99, "cut off after"),
  "jpeg without markers": (b"\xff\xd8\xff\xe0\0\x02rubbish", "no JPEG marker"),
  "jpeg without a frame": (b"\xff\xd8\xff\xda\0\x02\xff\xd9", "claims 0 x 0"),
  "huge png": (
    PNG[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + PNG[24:],
    "more than decode's max_pixels",
  ),
  "huge jpeg": (jpeg_claiming(65000, 65000), "more than decode's max_pixels"),
  "no pixels": (PNG[:16] + bytes(8) + PNG[24:], "claims 0 x 0 pixels"),
  "float array": (np.zeros((2, 2, 3)), "is float64 (2, 2, 3), not uint8"),
  "two channels": (np.zeros((2, 2, 2), np.uint8), "has 2 channels"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_images(name):
  data, said = HOSTILE[name]
  with pytest.raises(errors.DataError) as caught:
    run("decode", data)
  assert str(caught.value).startswith("record 7: the image ")
  assert said in str(caught.value)


def test_pixel_limit_is_inclusive():
  assert run("decode(max_pixels=4096)", PNG).shape == (64, 64, 3)
  with pytest.raises(errors.DataError, match="64 x 64 = 4096 pixels"):
    run("decode(max_pixels=4095)", PNG)
