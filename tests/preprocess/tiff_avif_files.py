"""TIFF, AVIF and HEIC files, whole and broken; see image_files.py."""

import struct

import numpy as np
from PIL import Image

from tests.preprocess.pictures import (
  ALPHA,
  BLACK_AND_WHITE,
  PICTURE,
  frames,
  mode,
  palette,
  patched,
  pillow,
  rgb,
)

TIFF = pillow(PICTURE, "TIFF")
AVIF = pillow(PICTURE, "AVIF", quality=95)


def tiff_tag(tag):
  """The place of a tag in the TIFF."""
  (at,) = struct.unpack_from("<I", TIFF, 4)
  (count,) = struct.unpack_from("<H", TIFF, at)
  places = range(at + 2, at + 2 + 12 * count, 12)
  return next(p for p in places if TIFF[p : p + 2] == struct.pack("<H", tag))


def tiff_with(**tags):
  """The TIFF with other values of tags, by their numbers."""
  data = TIFF
  for tag, number in tags.items():
    data = patched(data, tiff_tag(int(tag[1:])) + 2, "<HII", 4, 1, number)
  return data


def avif_claiming(h, w):
  """The AVIF with another size in its box of it."""
  return patched(AVIF, AVIF.index(b"ispe") + 8, ">II", w, h)


# name: (file, pixels, the largest difference that its coding allows).
READ = {
  "tiff": (TIFF, PICTURE, 0),
  "big tiff": (pillow(PICTURE, "TIFF", big_tiff=True), PICTURE, 0),
  "grey tiff": (pillow(mode("L"), "TIFF"), rgb(mode("L")), 0),
  "grey tiff with alpha": (pillow(mode("LA"), "TIFF"), rgb(mode("L")), 0),
  "tiff with alpha": (pillow(ALPHA, "TIFF"), PICTURE, 0),
  "palette tiff": (pillow(palette(), "TIFF"), rgb(palette()), 0),
  "cmyk tiff": (pillow(mode("CMYK"), "TIFF"), PICTURE, 0),
  "tiff of 1 bit": (
    pillow(
      Image.fromarray(BLACK_AND_WHITE[..., 0]).convert("1"),
      "TIFF",
      compression="group4",
    ),
    BLACK_AND_WHITE,
    0,
  ),
  "tiff in lzw": (pillow(PICTURE, "TIFF", compression="tiff_lzw"), PICTURE, 0),
  "tiff in jpeg": (
    pillow(PICTURE, "TIFF", compression="jpeg", quality=98),
    PICTURE,
    5,
  ),
  "tiff of two pictures": (frames("TIFF"), PICTURE, 0),
  "tiff whose camera was turned": (
    pillow(PICTURE, "TIFF", tiffinfo={274: 6}),
    PICTURE,
    0,
  ),
  "avif": (AVIF, PICTURE, 12),
  "avif with alpha": (pillow(ALPHA, "AVIF", quality=95), PICTURE, 12),
  "animated avif": (
    pillow(
      PICTURE,
      "AVIF",
      quality=95,
      save_all=True,
      append_images=[Image.fromarray(PICTURE[::-1])],
    ),
    PICTURE,
    12,
  ),
}

_CUT = "is cut off after"
_DAMAGED = "cannot be decoded"
_MANY = "more than decode's max_pixels"
# name: (file, what the error says).
REFUSED = {
  "tiff of 16 bits": (
    pillow(Image.fromarray(PICTURE[..., 0].astype(np.uint16) << 8), "TIFF"),
    "is a TIFF of 16 bits a channel, whose range it does not tell; convert",
  ),
  "tiff of floats": (
    pillow(Image.fromarray(PICTURE[..., 0].astype(np.float32)), "TIFF"),
    "is a TIFF of float 32 bits",
  ),
  "lab tiff": (tiff_with(t262=8), "3 channels of 8 bits in the colour space 8"),
  "tiff of two channels": (tiff_with(t277=2), "is a TIFF of 2 channels"),
  "tiff cut": (TIFF[: len(TIFF) // 2], _DAMAGED),
  "tiff cut in its header": (TIFF[:7], _CUT),
  "tiff whose directory is nowhere": (patched(TIFF, 4, "<I", 2**31), _CUT),
  "tiff of many tags": (
    patched(TIFF, struct.unpack_from("<I", TIFF, 4)[0], "<H", 65_535),
    "is a TIFF that claims 65535 tags",
  ),
  "tiff of an unknown compression": (tiff_with(t259=9999), _DAMAGED),
  "tiff in huge tiles": (
    patched(
      patched(TIFF, tiff_tag(278), "<HHII", 322, 4, 1, 1 << 15),
      tiff_tag(279),
      "<HHII",
      323,
      4,
      1,
      1 << 15,
    ),
    "is a TIFF of 768 pixels in tiles of 1073741824",
  ),
  "tiff bomb": (tiff_with(t256=20_000, t257=20_000), _MANY),
  "heic": (
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
    "is HEIC, which cannot be read here; convert it to JPEG",
  ),
  "avif cut": (AVIF[: len(AVIF) // 2], "is a damaged AVIF"),
  "avif cut in its boxes": (AVIF[:40], "is a damaged AVIF"),
  "avif of rubbish": (AVIF[:-200] + bytes(200), "AVIF"),
  "avif bomb": (avif_claiming(16_000, 16_000), _MANY),
}
