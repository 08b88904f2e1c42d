"""Encoded images to pixels, with every claim of the file checked first."""

from collections.abc import Callable
import dataclasses
import struct
from typing import NamedTuple

import cv2
from jaxtyping import UInt8
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op, resample
from vit_jax.preprocess.codecs import avif, base, gif, jpeg, opencv, tiff

_CODECS = (jpeg, gif, opencv, tiff, avif)
# Names of files that hold what is decoded here end in one of these.
SUFFIXES = (
  *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"),
  *(".tif", ".tiff", ".avif"),
)
# First bytes of a kind that people have and nothing here decodes.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# Grey, RGB.
CHANNELS = (1, 3)
# Upper row, left column and size of a part of an image.
Place = tuple[int, int, op.Size]
# From the height and width of an image to the part of it that is wanted.
Draw = Callable[[int, int], Place]


class Begun(NamedTuple):
  """An image that may still be encoded, and the part of it that is wanted."""

  image: base.Encoded | UInt8[np.ndarray, "h w c"]
  place: Place


@dataclasses.dataclass(frozen=True)
class Decode(op.HostOp):
  """Encoded images to uint8 [h, w, channels]; arrays are only converted.

  Reads JPEG (also progressive, arithmetic, CMYK and YCCK), PNG, GIF, BMP, WebP,
  TIFF and AVIF, told apart by their first bytes and never by a file's name. As
  in the published input pipelines the orientation that cameras note is ignored,
  an alpha channel is dropped, 16 bits of a PNG are cut to the upper 8 (a TIFF
  of 16 is refused) and an animation is its first picture. Where a GIF is
  transparent it is black, as in TensorFlow.

  Attributes:
    channels: 1 (grey) or 3 (RGB).
    max_pixels: the most pixels that a file may claim in its header, which is
      read before anything of that size is allocated.
    scaled: whether a JPEG of which `inception_crop` needs only a small version
      may be decoded at a half, quarter or eighth of its size.

  Raises:
    DataError: another kind of file, one that is damaged or cut off, or more
      than `max_pixels` pixels.
  """

  channels: int = 3
  max_pixels: int = 100_000_000
  scaled: bool = True

  def __post_init__(self):
    op.check(
      self, self.channels in CHANNELS, "{channels} must be 1 (grey) or 3 (RGB)"
    )
    op.check(self, self.max_pixels > 0, "{max_pixels} must be > 0")

  def __call__(self, example, rng):
    whole = self.draw(example, lambda h, w: (0, 0, op.Size(h, w)))
    return self.part(whole, None)[0]

  def draw(self, example: op.Example, draw: Draw) -> op.Example:
    """The example with a `Begun` image: its header was read, nothing decoded.

    Its image was encoded or uint8 [h, w, c].
    """
    image = example["image"]
    try:
      if isinstance(image, bytes):
        image = _read(image)
        h, w = image.h, image.w
        if h * w > self.max_pixels:
          raise ValueError(
            f"claims {h} x {w} = {h * w} pixels, more than decode's max_pixels"
            f" = {self.max_pixels}"
          )
      else:
        image = _converted(image, self.channels)
        h, w, _ = image.shape
    except ValueError as e:
      raise _damaged(example, e) from e
    return {**example, "image": Begun(image, draw(h, w))}

  def part(
    self, example: op.Example, needed: op.Size | None
  ) -> tuple[op.Example, resample.Box]:
    """The example with a part of its image alone, and that part's box in it.

    A JPEG is decoded no further down than its part goes. Where the part is at
    least 2, 4 or 8 times as large as `needed` on both axes, it is decoded at
    one half, quarter or eighth of its size, unless `scaled` is False; the
    edges of the box are then seldom on whole pixels. Where nothing is needed,
    the scale is kept. The example is as `draw` returns it.
    """
    image, (y, x, size) = example["image"]
    scale = 1
    if isinstance(image, base.Encoded):
      if self.scaled and needed:
        times = min(size.h // needed.h, size.w // needed.w)
        scale = next((s for s in image.scales if s <= times), 1)
      try:
        image = image.decode(self.channels, y + size.h, scale)
        image = _converted(image, self.channels)
      except ValueError as e:
        raise _damaged(example, e) from e
    top, left = y // scale, x // scale
    bottom, right = -(-(y + size.h) // scale), -(-(x + size.w) // scale)
    box = (y / scale - top, x / scale - left, size.h / scale, size.w / scale)
    return {**example, "image": image[top:bottom, left:right]}, box


def header_size(data: bytes) -> tuple[int, int]:
  """Height and width in px that an encoded image claims.

  Raises:
    ValueError: another kind of file, no pixels, or a PNG or JPEG that is cut
      off.
  """
  image = _read(data)
  return image.h, image.w


def _read(data: bytes) -> base.Encoded:
  codec = next((c for c in _CODECS if c.matches(data)), None)
  if codec is None and data[4:8] == b"ftyp" and data[8:12] in _HEIC:
    raise ValueError("is HEIC, which cannot be read here; convert it to JPEG")
  if codec is None:
    raise ValueError(
      "is no JPEG, PNG, GIF, BMP, WebP, TIFF or AVIF (it begins with"
      f" {data[:8].hex(' ')})"
      if data
      else "is empty"
    )
  try:
    image = codec.read(data)
  except (struct.error, IndexError) as e:
    raise ValueError(f"is cut off after {len(data)} bytes") from e
  if not image.h or not image.w:
    raise ValueError(f"claims {image.h} x {image.w} pixels")
  return image


def _converted(
  image: np.ndarray, channels: int
) -> UInt8[np.ndarray, "h w {channels}"]:
  if image.dtype != np.uint8 or image.ndim != 3:
    raise ValueError(f"is {image.dtype} {image.shape}, not uint8 [h, w, c]")
  c = image.shape[2]
  if c == channels:
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
