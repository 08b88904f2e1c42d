"""The first picture of a TIFF of at most 8 bits a channel.

Pillow's libtiff unpacks it. The directory is read here: OpenCV fills what is
damaged with black, multiplies colours by alpha and turns the picture as the
camera notes, and Pillow's own reader warns about tags that do not matter. More
than 8 bits are refused: their range is not in the file, and a photograph of 12
bits in 16 would come out black.
"""

import dataclasses
import struct

from jaxtyping import UInt8
import numpy as np
from PIL import Image

from vit_jax.preprocess.codecs import base

_BEGINS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Tags of the directory.
_WIDTH, _HEIGHT, _BITS, _COLOURS, _SAMPLES = 256, 257, 258, 262, 277
_PALETTE, _TILE_WIDTH, _TILE_HEIGHT, _FORMAT = 320, 322, 323, 339
# What counts where a tag is left out.
_DEFAULTS = {_WIDTH: 0, _HEIGHT: 0, _BITS: 1, _COLOURS: -1, _SAMPLES: 1}
_DEFAULTS |= {_PALETTE: 0, _TILE_WIDTH: 0, _TILE_HEIGHT: 0, _FORMAT: 1}
# Letters of `struct` by type of a tag: bytes, shorts, longs and long longs.
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST_TAGS = 4096
# Tiles may be larger than a small picture, but are held as a whole.
_LEAST_TILE_PIXELS = 1 << 20
_INDEXED = 3
# Mode and raw mode of Pillow by colour space, samples of a pixel and bits. Of
# YCbCr libtiff makes RGB.
_MODES = {
  **{(0, 1, bits): ("L", f"L;{bits}I") for bits in (2, 4)},
  **{(1, 1, bits): ("L", f"L;{bits}") for bits in (2, 4)},
  **{(_INDEXED, 1, bits): ("P", f"P;{bits}") for bits in (1, 2, 4)},
  (0, 1, 1): ("1", "1;I"),
  (1, 1, 1): ("1", "1"),
  (0, 1, 8): ("L", "L;I"),
  (1, 1, 8): ("L", "L"),
  (1, 2, 8): ("LA", "LA"),
  (2, 3, 8): ("RGB", "RGB"),
  (2, 4, 8): ("RGB", "RGBX"),
  (_INDEXED, 1, 8): ("P", "P"),
  (5, 4, 8): ("CMYK", "CMYK"),
  (6, 3, 8): ("RGB", "RGBX"),
}


def matches(data: bytes) -> bool:
  """Whether the file begins as a TIFF or BigTIFF does."""
  return data.startswith(_BEGINS)


def read(data: bytes) -> "Tiff":
  """The TIFF, with what its first directory says."""
  order = "<" if data.startswith(b"II") else ">"
  is_big = data[2:4] in (b"+\0", b"\0+")
  # Letters of places, and bytes of the head, of a count and of a tag.
  place, head, size = ("Q", 8, 20) if is_big else ("I", 4, 12)
  (offset,) = struct.unpack_from(order + place, data, head)
  counted = order + ("Q" if is_big else "H")
  (count,) = struct.unpack_from(counted, data, offset)
  if count > _MOST_TAGS:
    raise ValueError(f"is a TIFF that claims {count} tags")
  first = offset + struct.calcsize(counted)
  values = dict(_DEFAULTS)
  for at in range(first, first + size * count, size):
    tag, kind = struct.unpack_from(f"{order}HH", data, at)
    (number,) = struct.unpack_from(order + place, data, at + 4)
    if tag not in values or kind not in _TYPES or not number:
      continue
    value = at + 4 + struct.calcsize(place)
    if number * struct.calcsize(_TYPES[kind]) > struct.calcsize(place):
      (value,) = struct.unpack_from(order + place, data, value)
    if tag == _PALETTE:
      values[tag] = value
    else:
      (values[tag],) = struct.unpack_from(order + _TYPES[kind], data, value)
  modes = _checked(values)
  bits, colours = values[_BITS], None
  if modes[0] == "P":
    many = struct.unpack_from(f"{order}{3 << bits}H", data, values[_PALETTE])
    colours = np.array(many).reshape(3, -1).T
    # Colours have 16 bits, but some programs write 8.
    colours >>= 8 if colours.max() > 255 else 0
  return Tiff(
    data,
    values[_HEIGHT],
    values[_WIDTH],
    modes=modes,
    offset=offset,
    palette=None if colours is None else colours.astype(np.uint8),
  )


def _checked(values: dict[int, int]) -> tuple[str, str]:
  """The modes for the tags; refuses what has no good one, and huge tiles."""
  bits, samples = values[_BITS], values[_SAMPLES]
  if bits > 8 or values[_FORMAT] != 1:
    kind = {1: "", 2: "signed ", 3: "float "}.get(values[_FORMAT], "unknown ")
    raise ValueError(
      f"is a TIFF of {kind}{bits} bits a channel, whose range it does not tell;"
      " convert it to 8 bits"
    )
  modes = _MODES.get((values[_COLOURS], samples, bits))
  if modes is None:
    raise ValueError(
      f"is a TIFF of {samples} channels of {bits} bits in the colour space"
      f" {values[_COLOURS]}; convert it to RGB"
    )
  tile = values[_TILE_WIDTH] * values[_TILE_HEIGHT]
  pixels = values[_WIDTH] * values[_HEIGHT]
  if tile > 4 * max(pixels, _LEAST_TILE_PIXELS):
    raise ValueError(f"is a TIFF of {pixels} pixels in tiles of {tile}")
  return modes


@dataclasses.dataclass(frozen=True)
class Tiff(base.Encoded):
  """A TIFF.

  Attributes:
    modes: Pillow's names for the pixels and for how they are stored.
    offset: where the directory begins.
    palette: colours, uint8 [n, 3], or None.
  """

  modes: tuple[str, str] = ("", "")
  offset: int = 0
  palette: UInt8[np.ndarray, "n 3"] | None = None

  def decode(
    self, channels: int, rows: int = 0, scale: int = 1
  ) -> UInt8[np.ndarray, "h w 3"]:
    """The whole first picture in RGB, whatever is asked for."""
    mode, raw = self.modes
    try:
      image = Image.frombytes(
        mode,
        (self.w, self.h),
        self.data,
        "libtiff",
        (raw, "", False, self.offset),
      )
    except (ValueError, OSError, MemoryError) as e:
      raise ValueError(f"cannot be decoded ({e})") from e
    if self.palette is not None:
      return self.palette[np.asarray(image)]
    return np.asarray(image.convert("RGB"))
