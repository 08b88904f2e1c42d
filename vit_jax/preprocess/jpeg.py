"""JPEG by libjpeg-turbo: no more rows and pixels than somebody looks at."""

import dataclasses
import struct

import numpy as np
import simplejpeg

# Start-of-frame markers of JPEG: 0xC0..0xCF without DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Those whose rows are stored from the top, each once, in Huffman codes.
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_SCAN = 0xDA
_ADOBE = 0xEE
_SPACES = {1: "GRAY", 3: "RGB"}
# Chroma of a row is interpolated from rows below it.
_BELOW = 16
SCALES = (8, 4, 2)


@dataclasses.dataclass(frozen=True)
class Frame:
  """What a JPEG says of itself before its first scan.

  Attributes:
    h: height in px.
    w: width in px.
    height_at: the byte where the height stands.
    scan: the byte where the first scan begins.
    is_plain: whether `decode` reads it: 8 bits, sequential, Huffman codes, grey
      or three colours.
  """

  h: int
  w: int
  height_at: int
  scan: int
  is_plain: bool


def frame(data: bytes) -> Frame:
  """The frame of a JPEG.

  Raises:
    ValueError: no markers where they should be, or inks of unknown meaning.
    IndexError: it is cut off; or struct.error.
  """
  marker = bits = h = w = components = height_at = 0
  adobe = False
  i = 2
  while True:
    if data[i] != 0xFF:
      raise ValueError(f"has no JPEG marker at byte {i}")
    found = data[i + 1]
    # Any number of 0xFF bytes may stand before a marker.
    if found == 0xFF:
      i += 1
      continue
    if found == _SCAN:
      break
    if found in _FRAMES:
      marker, height_at = found, i + 5
      bits, h, w, components = struct.unpack_from(">BHHB", data, i + 4)
    adobe |= found == _ADOBE and data[i + 4 : i + 9] == b"Adobe"
    i += 2 + struct.unpack_from(">H", data, i + 2)[0]
  if components == 4 and not adobe:
    raise ValueError(
      "is CMYK without an Adobe marker, so that nothing says whether 0 is no"
      " ink or full ink"
    )
  is_plain = marker in _SEQUENTIAL and bits == 8 and components in (1, 3)
  return Frame(h, w, height_at, i, is_plain)


def decode(
  data: bytes, of: Frame, channels: int, rows: int = 0, scale: int = 1
) -> np.ndarray:
  """The pixels of a plain JPEG: uint8 [h / scale, w / scale, channels].

  Args:
    data: the file.
    of: its frame.
    channels: 1 (grey) or 3 (RGB).
    rows: how many are needed from the top, in px of the file (0: all). These
      are as in the whole image, and the rest is not even read.
    scale: 1, 2, 4 or 8. Each pixel is then the mean over a square of that
      side, up to rounding, made of the lowest frequencies alone. Sides are
      rounded up.

  Raises:
    ValueError: it cannot be decoded.
  """
  h = min(of.h, rows + _BELOW) if rows else of.h
  if h < of.h:
    # A decoder stops after the rows that the header claims.
    data = bytearray(data)
    struct.pack_into(">H", data, of.height_at, h)
  sides = -(-h // scale), -(-of.w // scale)
  small = {"min_height": sides[0], "min_width": sides[1]} if scale > 1 else {}
  try:
    image = simplejpeg.decode_jpeg(
      data, _SPACES[channels], strict=False, **small
    )
  except ValueError as e:
    raise ValueError(f"cannot be decoded ({e})") from e
  if image.shape[:2] != sides:
    raise ValueError(
      f"claims {sides[0]} x {sides[1]} pixels, but holds {image.shape[0]} x"
      f" {image.shape[1]}"
    )
  return image
