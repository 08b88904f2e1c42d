"""PNG, BMP and WebP, and the JPEGs that need more than libjpeg-turbo's API."""

import struct
import zlib

import cv2
from jaxtyping import UInt8
import numpy as np

from vit_jax.preprocess.codecs import base

# The pipeline runs one example per thread; OpenCV's own threads on top of
# them would only compete for the same cores.
cv2.setNumThreads(0)
# The error about a damaged image names its record; OpenCV's message does not.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_PNG = b"\x89PNG\r\n\x1a\n"
# The parts of a PNG beside the critical ones that its pixels depend on.
_PNG_USED = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
_FLAGS = {
  1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
  3: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION,
}


def matches(data: bytes) -> bool:
  """Whether the file begins as PNG, BMP or WebP do."""
  is_webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
  return is_webp or data.startswith((_PNG, b"BM"))


def read(data: bytes) -> "Other":
  """The image, with the size in its header.

  Also refuses a PNG that is cut off: its decoder fills what is missing with
  grey instead of saying so. Those of BMP and WebP notice.
  """
  if data.startswith(_PNG):
    h, w = _png_size(data)
  elif data.startswith(b"BM"):
    h, w = _bmp_size(data)
  else:
    h, w = _webp_size(data)
  return Other(data, h, w)


class Other(base.Encoded):
  """An image that OpenCV decodes."""

  def decode(
    self, channels: int, rows: int = 0, scale: int = 1
  ) -> UInt8[np.ndarray, "h w {channels}"]:
    """The whole image, whatever part of it is asked for."""
    is_png = self.data.startswith(_PNG)
    data = _quiet_png(self.data) if is_png else self.data
    try:
      image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[channels])
    except cv2.error as e:
      raise ValueError(f"cannot be decoded ({e.err})") from e
    if image is None:
      raise ValueError("is damaged and cannot be decoded")
    base.check_size(image, self.h, self.w)
    return image.reshape(self.h, self.w, channels)


def _png_size(data: bytes) -> tuple[int, int]:
  if data[12:16] != b"IHDR"[: len(data) - 12]:
    raise ValueError("is a PNG that does not begin with its header")
  w, h = struct.unpack_from(">II", data, 16)
  # From the end, where it is: looking through the pixels takes longer.
  if data.rfind(b"IEND") < 0:
    raise IndexError
  return h, w


def _quiet_png(data: bytes) -> bytes:
  """A PNG without the parts that its pixels do not depend on.

  libpng prints on stderr what it finds wrong with them, such as with a colour
  profile, and does not say in which file. It also prints a wrong checksum of a
  critical part, which is refused here.
  """
  parts, place = [data[: len(_PNG)]], len(_PNG)
  while place + 12 <= len(data):
    size, kind = struct.unpack_from(">I4s", data, place)
    part = data[place : place + size + 12]
    place += len(part)
    # The names of critical parts begin with a capital.
    if kind[:1].isupper():
      if zlib.crc32(part[4:-4]) != int.from_bytes(part[-4:], "big"):
        raise ValueError(f"cannot be decoded: {kind} has another checksum")
      parts.append(part)
    elif kind in _PNG_USED:
      parts.append(part)
    if kind == b"IEND":
      break
  return b"".join(parts)


def _bmp_size(data: bytes) -> tuple[int, int]:
  if struct.unpack_from("<I", data, 14)[0] == 12:
    w, h = struct.unpack_from("<HH", data, 18)
  else:
    w, h = struct.unpack_from("<ii", data, 18)
  # The rows of a negative height are stored from the top.
  return abs(h), abs(w)


def _webp_size(data: bytes) -> tuple[int, int]:
  kind = data[12:16]
  if kind == b"VP8X":
    # Two numbers of three bytes each.
    (sizes,) = struct.unpack_from("6s", data, 24)
    w, h = (int.from_bytes(sizes[i : i + 3], "little") + 1 for i in (0, 3))
  elif kind == b"VP8L":
    (bits,) = struct.unpack_from("<I", data, 21)
    w, h = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
  elif kind == b"VP8 ":
    w, h = (v & 0x3FFF for v in struct.unpack_from("<HH", data, 26))
  else:
    raise ValueError(f"is a WebP without an image (it has {kind.hex(' ')})")
  return h, w
