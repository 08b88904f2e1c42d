"""A small picture, and files of it as Pillow writes them."""

import io
import struct

import numpy as np
from PIL import Image

H, W = 24, 32
_Y, _X = np.mgrid[:H, :W]
PICTURE = np.stack([_Y * 10, _X * 7, (_X + _Y) * 4], -1).astype(np.uint8)
GREY = np.repeat(PICTURE[..., :1], 3, axis=2)
BLACK_AND_WHITE = np.where(GREY > 100, 255, 0).astype(np.uint8)
ALPHA = np.dstack([PICTURE, _X.astype(np.uint8) * 8])


def pillow(image, kind, **options):
  """A file as Pillow writes it."""
  out = io.BytesIO()
  if isinstance(image, np.ndarray):
    image = Image.fromarray(image)
  image.save(out, kind, **options)
  return out.getvalue()


def mode(name):
  return Image.fromarray(PICTURE).convert(name)


def palette(colors=64):
  return Image.fromarray(PICTURE).quantize(colors)


def rgb(image):
  return np.asarray(image.convert("RGB"))


def frames(kind):
  rest = [Image.fromarray(PICTURE[::-1]), Image.fromarray(PICTURE[:, ::-1])]
  options = {"lossless": True} if kind == "WEBP" else {}
  return pillow(
    palette() if kind == "GIF" else PICTURE,
    kind,
    save_all=True,
    append_images=rest,
    duration=50,
    **options,
  )


def patched(data, offset, layout, *values):
  new = struct.pack(layout, *values)
  return data[:offset] + new + data[offset + len(new) :]
