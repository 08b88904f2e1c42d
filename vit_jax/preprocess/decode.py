"""Encoded images to pixels, with every claim of the file checked first."""

from collections.abc import Callable
import dataclasses
import struct
from typing import NamedTuple

import cv2
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import gif, jpeg, op, resample

# The pipeline runs one example per thread; OpenCV's own threads on top of
# them would only compete for the same cores.
cv2.setNumThreads(0)
# What is wrong with an image is told once, with its record, by `Decode`.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Upper row, left column and size of a part of an image.
Place = tuple[int, int, op.Size]
# The part of an h x w image that is wanted.
Draw = Callable[[int, int], Place]
_FLAGS = {
  1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
  3: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION,
}


class Begun(NamedTuple):
  """An image, and the part of it that is wanted, before that is decoded."""

  image: bytes | np.ndarray
  place: Place
  h: int
  w: int
  frame: jpeg.Frame | None


@dataclasses.dataclass(frozen=True)
class Decode(op.HostOp):
  """Encoded images to uint8 [h, w, channels]; arrays are only converted.

  Reads JPEG (also progressive, arithmetic, CMYK and YCCK), PNG, GIF, BMP and
  WebP, told apart by their first bytes and never by a file's name. As in the
  published input pipelines the orientation that cameras note is ignored, an
  alpha channel is dropped, 16 bits are cut to the upper 8 and an animation is
  its first picture. Where a GIF is transparent it is black, as in TensorFlow.

  Raises:
    DataError: another kind of file, one that is damaged or cut off, or more
      than `max_pixels` pixels (read from the header before anything of that
      size is allocated).
  """

  channels: int = 3
  max_pixels: int = 100_000_000
  scaled: bool = True

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
    whole = self.draw(example, lambda h, w: (0, 0, op.Size(h, w)))
    return self.part(whole, None)[0]

  def draw(self, example: op.Example, draw: Draw) -> op.Example:
    """The example with the part of its image that is wanted, as `Begun`.

    Args:
      example: "image", encoded or uint8 [h, w, c].
      draw: called once, with the size in px of the whole image.
    """
    image, frame = example["image"], None
    try:
      if isinstance(image, bytes):
        h, w, frame = _header(image)
        self._check_size(h, w)
      else:
        image = self._convert(image)
        h, w, _ = image.shape
    except ValueError as e:
      raise _damaged(example, e) from e
    return {**example, "image": Begun(image, draw(h, w), h, w, frame)}

  def part(
    self, example: op.Example, needed: op.Size | None
  ) -> tuple[op.Example, resample.Box]:
    """The example with a part of its image alone, and that part's place in it.

    A JPEG is decoded no further down than its part goes. Where that is at
    least 2, 4 or 8 times as large as `needed` on both axes, it is decoded at
    one half, quarter or eighth of its size, unless `scaled` is False; the
    place is then seldom on whole pixels.

    Args:
      example: "image", as `draw` returns it.
      needed: what the part will be resized to; None keeps the scale.
    """
    image, place, h, w, frame = example["image"]
    y, _, part = place
    scale = 1
    try:
      if frame is not None and frame.is_plain:
        scale = _scale(part, needed or part) if self.scaled else 1
        image = jpeg.decode(image, frame, self.channels, y + part.h, scale)
      elif isinstance(image, bytes):
        image = self._decode_whole(image, h, w)
    except ValueError as e:
      raise _damaged(example, e) from e
    image, box = _cut(image, *place, scale)
    return {**example, "image": image}, box

  def _check_size(self, h: int, w: int) -> None:
    if h * w > self.max_pixels:
      raise ValueError(
        f"claims {h} x {w} = {h * w} pixels, more than decode's max_pixels ="
        f" {self.max_pixels}"
      )

  def _decode_whole(self, data: bytes, h: int, w: int) -> np.ndarray:
    if data.startswith(gif.START):
      return self._convert(gif.first_picture(data))
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
    return image.reshape(h, w, self.channels)

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


def _damaged(example: op.Example, error: ValueError) -> errors.DataError:
  return errors.DataError(
    f"record {example['id']}: the image {error}; repair or remove the record"
  )


def header_size(data: bytes) -> tuple[int, int]:
  """Height and width in px that an encoded image claims.

  Raises:
    ValueError: another kind of file, no pixels, or a PNG or JPEG that is cut
      off: their decoders fill what is missing with grey instead of saying so.
  """
  return _header(data)[:2]


def _header(data: bytes) -> tuple[int, int, jpeg.Frame | None]:
  """Height, width, and the frame of a JPEG."""
  frame = None
  try:
    if data.startswith(_JPEG):
      frame = jpeg.frame(data)
      h, w = frame.h, frame.w
      # From the end, where it is: to look through the pixels takes longer
      # than to read the header.
      end = data.rfind(b"\xff\xd9", frame.scan)
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
  return h, w, frame


def _cut(
  image: np.ndarray, y: int, x: int, part: op.Size, scale: int = 1
) -> tuple[np.ndarray, resample.Box]:
  """The pixels that a part needs, and its place in them."""
  top, left = y // scale, x // scale
  bottom, right = -(-(y + part.h) // scale), -(-(x + part.w) // scale)
  place = (y / scale - top, x / scale - left, part.h / scale, part.w / scale)
  return image[top:bottom, left:right], place


def _scale(part: op.Size, needed: op.Size) -> int:
  """The largest scale at which `part` still has `needed` pixels."""
  times = min(part.h // needed.h, part.w // needed.w)
  return next((s for s in jpeg.SCALES if s <= times), 1)


def _other_size(data: bytes) -> tuple[int, int]:
  """Height and width of GIF, BMP and WebP, whose decoders see a missing end."""
  if data.startswith(gif.START):
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
