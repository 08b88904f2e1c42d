"""JPEG by libjpeg-turbo, which decodes no more rows and pixels than needed."""

import dataclasses
import struct

from jaxtyping import UInt8
import numpy as np
import simplejpeg

from vit_jax.preprocess.codecs import base, opencv

# Start-of-frame markers of JPEG: 0xC0..0xCF without DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Those whose rows are stored from the top, each once, in Huffman codes.
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_SCAN = 0xDA
_ADOBE = 0xEE
_END = b"\xff\xd9"
_SPACES = {1: "GRAY", 3: "RGB"}
# Chroma of a row is interpolated from rows below it.
_BELOW = 16
SCALES = (8, 4, 2)


def matches(data: bytes) -> bool:
  """Whether the file begins as a JPEG does."""
  return data.startswith(b"\xff\xd8\xff")


def read(data: bytes) -> "Jpeg":
  """The JPEG, with what stands before its first scan.

  Also refuses a JPEG without an end, whose decoders fill what is missing with
  grey instead of saying so, and inks of unknown meaning.
  """
  coding = bits = h = w = components = height_at = 0
  has_adobe = False
  at = 2
  while True:
    if data[at] != 0xFF:
      raise ValueError(f"has no JPEG marker at byte {at}")
    marker = data[at + 1]
    # Any number of 0xFF bytes may stand before a marker.
    if marker == 0xFF:
      at += 1
      continue
    if marker == _SCAN:
      break
    if marker in _FRAMES:
      coding, height_at = marker, at + 5
      bits, h, w, components = struct.unpack_from(">BHHB", data, at + 4)
    has_adobe |= marker == _ADOBE and data[at + 4 : at + 9] == b"Adobe"
    at += 2 + struct.unpack_from(">H", data, at + 2)[0]
  if components == 4 and not has_adobe:
    raise ValueError(
      "is CMYK without an Adobe marker, so that nothing says whether 0 is no"
      " ink or full ink"
    )
  # From the end, where it is: looking through the pixels takes longer.
  if data.rfind(_END, at) < 0:
    raise IndexError
  is_plain = coding in _SEQUENTIAL and bits == 8 and components in (1, 3)
  return Jpeg(data, h, w, SCALES if is_plain else (), height_at)


@dataclasses.dataclass(frozen=True)
class Jpeg(base.Encoded):
  """A JPEG.

  It has `scales` if it is plain: 8 bits, sequential, in Huffman codes, grey or
  of three colours. OpenCV decodes all others, and always the whole image.

  Attributes:
    height_at: the byte of the file where its height stands.
  """

  height_at: int = 0

  def decode(
    self, channels: int, rows: int = 0, scale: int = 1
  ) -> UInt8[np.ndarray, "h w {channels}"]:
    """The pixels; of a plain JPEG those of the first `rows` rows (0: all).

    The rows that were asked for are as in the whole image. At a scale each
    pixel is the mean over its square up to rounding, as it is made of the
    lowest frequencies alone.
    """
    if not self.scales:
      return opencv.Other(self.data, self.h, self.w).decode(channels)
    data, h = self.data, min(self.h, rows + _BELOW) if rows else self.h
    if h < self.h:
      # A decoder stops after the rows that the header claims.
      data = bytearray(data)
      struct.pack_into(">H", data, self.height_at, h)
    h, w = -(-h // scale), -(-self.w // scale)
    smaller = {"min_height": h, "min_width": w} if scale > 1 else {}
    try:
      image = simplejpeg.decode_jpeg(
        data, _SPACES[channels], strict=False, **smaller
      )
    except ValueError as e:
      raise ValueError(f"cannot be decoded ({e})") from e
    base.check_size(image, h, w)
    return image
