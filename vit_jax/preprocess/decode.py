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

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers of JPEG: 0xC0..0xCF without DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_FLAGS = {
  1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
  3: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION,
}


@dataclasses.dataclass(frozen=True)
class Decode(op.HostOp):
  """PNG or JPEG bytes to uint8 [h, w, channels]; arrays are only converted.

  The orientation that cameras note in JPEG files is ignored, as in the
  published input pipelines.

  Raises:
    DataError: not a whole PNG or JPEG, or more than `max_pixels` pixels (read
      from the header before anything of that size is allocated).
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
  """Height and width in px that a whole PNG or JPEG file claims.

  Raises:
    ValueError: another kind of file, no pixels, or cut off. The decoders fill
      what is missing with grey instead of saying so.
  """
  try:
    if data.startswith(_PNG):
      w, h = struct.unpack_from(">II", data, 16)
      end = data.rfind(b"IEND")
    elif data.startswith(_JPEG):
      h, w, scan = _jpeg_frame(data)
      end = data.find(b"\xff\xd9", scan)
    else:
      raise ValueError(
        f"is neither PNG nor JPEG (it begins with {data[:8].hex(' ')})"
      )
  except (struct.error, IndexError):
    end = -1
  if end < 0:
    raise ValueError(f"is cut off after {len(data)} bytes")
  if not h or not w:
    raise ValueError(f"claims {h} x {w} pixels")
  return h, w


def _jpeg_frame(data: bytes) -> tuple[int, int, int]:
  """Height, width and the place of the first scan."""
  h = w = 0
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
      return h, w, i
    if marker in _FRAMES:
      h, w = struct.unpack_from(">HH", data, i + 5)
    i += 2 + struct.unpack_from(">H", data, i + 2)[0]
