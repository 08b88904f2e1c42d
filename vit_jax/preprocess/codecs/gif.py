"""The first picture of a GIF.

Pillow unpacks the codes. The headers are read here, because OpenCV refuses
files whose background colour is not in their palette (whole icon sets), and
Pillow's own reader makes the screen larger where a picture does not fit it,
takes any colour number for valid and warns about sizes by a limit of its own.
"""

import struct

from jaxtyping import UInt8
import numpy as np
from PIL import Image

from vit_jax.preprocess.codecs import base

_EXTENSION, _PICTURE, _CONTROL = 0x21, 0x2C, 0xF9
_HAS_PALETTE, _INTERLACED = 0x80, 0x40


def matches(data: bytes) -> bool:
  """Whether the file begins as a GIF does."""
  return data.startswith((b"GIF87a", b"GIF89a"))


def read(data: bytes) -> "Gif":
  """The GIF, with the size of its screen."""
  w, h = struct.unpack_from("<HH", data, 6)
  return Gif(data, h, w)


class Gif(base.Encoded):
  """A GIF; black where it is transparent or the picture leaves it free."""

  def decode(
    self, channels: int = 3, rows: int = 0, scale: int = 1
  ) -> UInt8[np.ndarray, "h w 3"]:
    """The whole first picture in RGB, whatever is asked for."""
    try:
      return _first_picture(self.data, self.h, self.w)
    except (struct.error, IndexError) as e:
      raise ValueError(f"is cut off after {len(self.data)} bytes") from e


def _first_picture(data: bytes, h: int, w: int) -> UInt8[np.ndarray, "h w 3"]:
  palette, at = _palette(data, 13, data[10])
  transparent = None
  while data[at] == _EXTENSION:
    if data[at + 1] == _CONTROL and data[at + 3] & 1:
      transparent = data[at + 6]
    at = _end(data, at + 2)
  if data[at] != _PICTURE:
    raise ValueError(
      f"is a GIF without a picture (byte {at} is {data[at]:#04x})"
    )
  left, top, pw, ph, flags = struct.unpack_from("<HHHHB", data, at + 1)
  if top + ph > h or left + pw > w:
    raise ValueError(
      f"claims {h} x {w} pixels, but its picture goes to {top + ph} x"
      f" {left + pw}"
    )
  own, at = _palette(data, at + 10, flags)
  palette = own if len(own) else palette
  index = _unpacked(data, at, ph, pw, bool(flags & _INTERLACED))
  highest = index[index != transparent].max(initial=0)
  if highest >= len(palette):
    raise ValueError(f"is damaged: colour {highest} of {len(palette)}")
  colours = np.zeros((256, 3), np.uint8)
  colours[: len(palette)] = palette
  if transparent is not None:
    colours[transparent] = 0
  screen = np.zeros((h, w, 3), np.uint8)
  screen[top : top + ph, left : left + pw] = colours[index]
  return screen


def _palette(
  data: bytes, at: int, flags: int
) -> tuple[UInt8[np.ndarray, "n 3"], int]:
  """The colours at a byte, none if the flags say so, and the byte after."""
  size = 2 << (flags & 7) if flags & _HAS_PALETTE else 0
  if len(data) < at + 3 * size:
    raise IndexError
  colours = np.frombuffer(data, np.uint8, 3 * size, at)
  return colours.reshape(size, 3), at + 3 * size


def _end(data: bytes, at: int) -> int:
  """The byte after the blocks that begin at `at`."""
  while data[at]:
    at += 1 + data[at]
  return at + 1


def _unpacked(
  data: bytes, at: int, h: int, w: int, is_interlaced: bool
) -> UInt8[np.ndarray, "h w"]:
  """The colour number of each pixel, from the codes that begin at `at`."""
  bits = data[at]
  if not 1 <= bits <= 8:
    raise ValueError(f"is damaged: colours of {bits} bits")
  codes = memoryview(data)[at + 1 :]
  try:
    image = Image.frombytes(
      "P", (w, h), codes, "gif", (bits, int(is_interlaced), -1)
    )
  except ValueError as e:
    # An IndexError where the file ends before its codes do.
    _end(data, at + 1)
    raise ValueError(f"cannot be decoded ({e})") from e
  return np.asarray(image)
