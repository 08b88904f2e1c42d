"""Encoded images to pixels, with every claim of the file checked first."""

import dataclasses
import struct

import cv2
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op

# The pipeline runs one example per thread; OpenCV's own threads on top of
# them would only compete for the same cores.
cv2.setNumThreads(0)
# What is wrong with an image is told once, with its record, by `Decode`.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers of JPEG: 0xC0..0xCF without DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_ADOBE = 0xEE
_FLAGS = {
  1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
  3: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION,
}


@dataclasses.dataclass(frozen=True)
class Decode(op.HostOp):
  """Encoded images to uint8 [h, w, channels]; arrays are only converted.

  Reads JPEG (also progressive, arithmetic, CMYK and YCCK), PNG, GIF, BMP and
  WebP, told apart by their first bytes and never by a file's name. As in the
  published input pipelines the orientation that cameras note is ignored, an
  alpha channel is dropped, 16 bits are cut to the upper 8 and an animation is
  its first picture.

  Raises:
    DataError: another kind of file, one that is damaged or cut off, or more
      than `max_pixels` pixels (read from the header before anything of that
      size is allocated).
  """

  channels: int = 3
  max_pixels: int = 100_000_000

  def __post_init__(self):
    op.check(
      self.channels in _FLAGS,
      "{channels} must be 1 (grey) or 3 (RGB)",
      channels=self.channels,
    )
    op.check(
      self.max_pixels > 0,
      "{max_pixels} must be > 0",
      max_pixels=self.max_pixels,
    )

  def __call__(self, example, rng):
    del rng
    image = example["image"]
    try:
      if isinstance(image, bytes):
        image = self._decode(image)
      else:
        image = self._convert(image)
    except ValueError as e:
      raise errors.DataError(
        f"record {example['id']}: the image {e}; repair or remove the record"
      ) from e
    return {**example, "image": image}

  def _decode(self, data: bytes) -> np.ndarray:
    h, w = header_size(data)
    if h * w > self.max_pixels:
      raise ValueError(
        f"claims {h} x {w} = {h * w} pixels, more than decode's max_pixels ="
        f" {self.max_pixels}"
      )
    try:
      image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[self.channels])
    except cv2.error as e:
      raise ValueError(f"cannot be decoded ({e.err})") from e
    if image is None:
      raise ValueError("is damaged and cannot be decoded")
    if image.shape[:2] != (h, w):
      raise ValueError(
        f"claims {h} x {w} pixels, but holds {image.shape[0]} x"
        f" {image.shape[1]}"
      )
    return image.reshape(*image.shape[:2], self.channels)

  def _convert(self, image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8 or image.ndim != 3:
      raise ValueError(f"is {image.dtype} {image.shape}, not uint8 [h, w, c]")
    c = image.shape[2]
    if c == self.channels:
      return image
    if c == 1:
      return np.repeat(image, 3, axis=2)
    if c == 3:
      return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    raise ValueError(f"has {c} channels, not 1 or 3")


def header_size(data: bytes) -> tuple[int, int]:
  """Height and width in px that an encoded image claims.

  Raises:
    ValueError: another kind of file, no pixels, or a PNG or JPEG that is cut
      off: their decoders fill what is missing with grey instead of saying so.
  """
  try:
    if data.startswith(_JPEG):
      h, w, scan = _jpeg_frame(data)
      end = data.find(b"\xff\xd9", scan)
    elif data.startswith(_PNG):
      if data[12:16] != b"IHDR"[: len(data) - 12]:
        raise ValueError("is a PNG that does not begin with its header")
      w, h = struct.unpack_from(">II", data, 16)
      end = data.rfind(b"IEND")
    else:
      h, w = _other_size(data)
      end = 0
  except (struct.error, IndexError):
    end = -1
  if end < 0:
    raise ValueError(f"is cut off after {len(data)} bytes")
  if not h or not w:
    raise ValueError(f"claims {h} x {w} pixels")
  return h, w


def _other_size(data: bytes) -> tuple[int, int]:
  """Height and width of GIF, BMP and WebP, whose decoders see a missing end."""
  if data[:6] in (b"GIF87a", b"GIF89a"):
    w, h = struct.unpack_from("<HH", data, 6)
    return h, w
  if data.startswith(b"BM"):
    if struct.unpack_from("<I", data, 14)[0] == 12:
      w, h = struct.unpack_from("<HH", data, 18)
      return h, w
    w, h = struct.unpack_from("<ii", data, 18)
    # The rows of a negative height are stored from the top.
    return abs(h), abs(w)
  if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
    return _webp_size(data)
  if not data:
    raise ValueError("is empty")
  raise ValueError(
    f"is no JPEG, PNG, GIF, BMP or WebP (it begins with {data[:8].hex(' ')})"
  )


def _webp_size(data: bytes) -> tuple[int, int]:
  kind = data[12:16]
  if kind == b"VP8X":
    sizes = data[24:30]
    # Too short a slice must not read as a small number.
    struct.unpack("<6s", sizes)
    w, h = (int.from_bytes(sizes[i : i + 3], "little") + 1 for i in (0, 3))
  elif kind == b"VP8L":
    bits = struct.unpack_from("<I", data, 21)[0]
    w, h = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
  elif kind == b"VP8 ":
    w, h = (v & 0x3FFF for v in struct.unpack_from("<HH", data, 26))
  else:
    raise ValueError(f"is a WebP without an image (it has {kind.hex(' ')})")
  return h, w


def _jpeg_frame(data: bytes) -> tuple[int, int, int]:
  """Height, width and the place of the first scan."""
  h = w = components = 0
  adobe = False
  i = 2
  while True:
    if data[i] != 0xFF:
      raise ValueError(f"has no JPEG marker at byte {i}")
    marker = data[i + 1]
    # Any number of 0xFF bytes may stand before a marker.
    if marker == 0xFF:
      i += 1
      continue
    if marker == _SCAN:
      break
    if marker in _FRAMES:
      h, w, components = struct.unpack_from(">HHB", data, i + 5)
    adobe |= marker == _ADOBE and data[i + 4 : i + 9] == b"Adobe"
    i += 2 + struct.unpack_from(">H", data, i + 2)[0]
  if components == 4 and not adobe:
    raise ValueError(
      "is CMYK without an Adobe marker, so that nothing says whether 0 is no"
      " ink or full ink"
    )
  return h, w, i
