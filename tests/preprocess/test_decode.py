"""Every kind of image file is read rightly, or its record is named."""

import zlib

import cv2
import numpy as np
from PIL import Image
import pytest
import simplejpeg

from tests.preprocess import image_files
from vit_jax.core import errors
from vit_jax.preprocess.pipeline import Pipeline


def decode(data, text="decode"):
  example = {"image": data, "label": 0, "id": 7}
  rng = np.random.default_rng(0)
  return Pipeline.parse(text).host(example, rng)["image"]


def test_there_are_at_least_forty():
  assert len(image_files.REFUSED) >= 40


@pytest.mark.parametrize("name", image_files.READ)
def test_read(name):
  data, wanted, allowed = image_files.READ[name]
  image = decode(data)
  assert image.shape == wanted.shape
  assert image.dtype == np.uint8
  assert np.abs(image.astype(int) - wanted).max() <= allowed


@pytest.mark.parametrize("name", image_files.READ)
def test_read_as_grey(name):
  data, wanted, allowed = image_files.READ[name]
  image = decode(data, "decode(1)")
  assert image.shape == (*wanted.shape[:2], 1)
  luma = cv2.cvtColor(np.ascontiguousarray(wanted), cv2.COLOR_RGB2GRAY)
  # Decoders round the weights of the colours each in their way.
  assert np.abs(image[..., 0].astype(int) - luma).max() <= allowed + 2


@pytest.mark.parametrize("name", image_files.REFUSED)
def test_refused(name, capfd):
  data, said = image_files.REFUSED[name]
  with pytest.raises(errors.DataError) as caught:
    decode(data)
  assert str(caught.value).startswith("record 7: the image ")
  assert said in str(caught.value)
  assert "OpenCV" not in capfd.readouterr().err


@pytest.mark.parametrize(
  "name", [n for n in image_files.REFUSED if "bomb" in n]
)
def test_bombs_are_never_given_to_a_decoder(name, monkeypatch):
  def fail(*args, **kwargs):
    raise AssertionError("decoded")

  monkeypatch.setattr(cv2, "imdecode", fail)
  monkeypatch.setattr(simplejpeg, "decode_jpeg", fail)
  monkeypatch.setattr(Image, "frombytes", fail)
  with pytest.raises(errors.DataError, match="max_pixels"):
    decode(image_files.REFUSED[name][0])


@pytest.mark.parametrize("name", image_files.READ)
def test_cut_anywhere_is_no_other_error(name):
  data = image_files.READ[name][0]
  for size in range(0, len(data), max(1, len(data) // 60)):
    try:
      decode(data[:size])
    except errors.DataError as e:
      assert "record 7" in str(e)


def png_part(kind, data):
  checksum = zlib.crc32(kind + data).to_bytes(4, "big")
  return len(data).to_bytes(4, "big") + kind + data + checksum


@pytest.mark.parametrize(
  ("kind", "data"),
  [
    (b"iCCP", b"x\0\0" + zlib.compress(bytes(128))),
    (b"eXIf", b"zz"),
    (b"gAMA", (200_000).to_bytes(4, "big")),
    (b"tEXt", b"x"),
  ],
)
def test_libpng_prints_nothing_about_what_is_not_used(capfd, kind, data):
  whole = image_files.pillow(image_files.PICTURE, "PNG")
  # After the header.
  more = whole[:33] + png_part(kind, data) + whole[33:]
  np.testing.assert_array_equal(decode(more), image_files.PICTURE)
  assert capfd.readouterr().err == ""


def test_libpng_prints_nothing_about_a_wrong_checksum(capfd):
  data = bytearray(image_files.pillow(image_files.PICTURE, "PNG"))
  data[-13] ^= 1
  with pytest.raises(errors.DataError, match="b'IDAT' has another checksum"):
    decode(bytes(data))
  assert capfd.readouterr().err == ""
