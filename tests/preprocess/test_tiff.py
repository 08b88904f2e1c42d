"""TIFFs that were tampered with, and the limits of one."""

import struct

import numpy as np
from PIL import Image
import pytest

from tests.preprocess import pictures, tiff_avif_files
from vit_jax.preprocess.codecs import tiff


def test_the_only_limit_is_our_own(monkeypatch):
  """Pillow would warn about more pixels than this, and refuse twice as many."""
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
  image = tiff.read(tiff_avif_files.TIFF).decode(3)
  np.testing.assert_array_equal(image, pictures.PICTURE)


@pytest.mark.parametrize("order", "<>")
def test_both_orders_of_bytes(order):
  rows = np.arange(6, dtype=np.uint8).reshape(2, 3)
  tags = [(256, 3), (257, 2), (258, 8), (259, 1), (262, 1), (273, 8)]
  tags += [(277, 1), (278, 2), (279, 6)]
  begin = {"<": b"II*\0", ">": b"MM\0*"}[order]
  head = begin + struct.pack(f"{order}I", 14)
  body = struct.pack(f"{order}H", len(tags))
  for tag, value in tags:
    body += struct.pack(f"{order}HHII", tag, 4, 1, value)
  data = head + rows.tobytes() + body + bytes(4)
  image = tiff.read(data).decode(3)
  np.testing.assert_array_equal(image, np.repeat(rows[..., None], 3, axis=2))


def test_what_is_damaged_is_not_filled_with_black():
  picture = np.tile(pictures.PICTURE, (20, 20, 1))
  data = bytearray(pictures.pillow(picture, "TIFF", compression="tiff_lzw"))
  middle = len(data) // 2
  data[middle : middle + 400] = bytes(400)
  with pytest.raises(ValueError, match="cannot be decoded"):
    tiff.read(bytes(data)).decode(3)


@pytest.mark.parametrize(
  "name", [n for n in tiff_avif_files.READ if "tiff" in n]
)
def test_any_byte_may_be_wrong(name):
  data = bytearray(tiff_avif_files.READ[name][0])
  rng = np.random.default_rng(0)
  for i in rng.integers(0, len(data), 80):
    changed = data.copy()
    changed[i] ^= 1 << rng.integers(8)
    try:
      image = tiff.read(bytes(changed))
      if 0 < image.h * image.w < 10**6:
        assert image.decode(3).shape == (image.h, image.w, 3)
    except (ValueError, struct.error, IndexError):
      continue
