"""AVIFs: told from HEIC, and broken in any place."""

import struct

import numpy as np
import pytest

from tests.preprocess import tiff_avif_files
from vit_jax.preprocess.codecs import avif

AVIF = tiff_avif_files.AVIF


def test_a_file_of_boxes_is_an_avif_if_one_of_its_brands_is():
  assert avif.matches(AVIF)
  others = b"\0\0\0\x18ftypmif1\0\0\0\0miafavif"
  assert avif.matches(others)
  assert not avif.matches(others.replace(b"avif", b"heic"))
  # A size that is larger than the file, or none.
  assert not avif.matches(b"\xff\xff\xff\xffftypmp42")
  assert not avif.matches(b"\0\0\0\0ftyp")


@pytest.mark.parametrize("name", ["avif", "avif with alpha"])
def test_any_byte_may_be_wrong(name):
  data = bytearray(tiff_avif_files.READ[name][0])
  rng = np.random.default_rng(0)
  for i in [*range(0, 300, 7), *rng.integers(0, len(data), 40)]:
    changed = data.copy()
    changed[i] ^= 1 << rng.integers(8)
    try:
      image = avif.read(bytes(changed))
      if 0 < image.h * image.w < 10**6:
        assert image.decode(3).shape == (image.h, image.w, 3)
    except (ValueError, struct.error, IndexError):
      continue
