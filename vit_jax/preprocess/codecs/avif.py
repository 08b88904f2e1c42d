"""The first picture of an AVIF, by the libavif that Pillow comes with."""

import io

from jaxtyping import UInt8
import numpy as np
from PIL import AvifImagePlugin

from vit_jax.preprocess.codecs import base

# The pipeline runs one example per thread.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
_BRANDS = (b"avif", b"avis")


def matches(data: bytes) -> bool:
  """Whether the file begins as an AVIF does."""
  return data[4:8] == b"ftyp" and any(
    brand in _brands(data) for brand in _BRANDS
  )


def _brands(data: bytes) -> list[bytes]:
  """The kinds of file that a file of boxes says it is."""
  size = min(int.from_bytes(data[:4], "big"), len(data), 256)
  # Between the first and the others is a version.
  return [data[8:12], *(data[i : i + 4] for i in range(16, size - 3, 4))]


def read(data: bytes) -> "Avif":
  """The AVIF, with the size in its boxes; no pixels are decoded."""
  w, h = _opened(data).size
  return Avif(data, h, w)


def _opened(data: bytes) -> AvifImagePlugin.AvifImageFile:
  try:
    # The class of the plugin, as Image.open has a limit of its own.
    return AvifImagePlugin.AvifImageFile(io.BytesIO(data))
  except (SyntaxError, OSError, ValueError, RuntimeError) as e:
    raise ValueError(f"is a damaged AVIF ({' '.join(str(e).split())})") from e


class Avif(base.Encoded):
  """An AVIF."""

  def decode(
    self, channels: int, rows: int = 0, scale: int = 1
  ) -> UInt8[np.ndarray, "h w 3"]:
    """The whole first picture in RGB, whatever is asked for."""
    try:
      image = np.asarray(_opened(self.data).convert("RGB"))
    except (SyntaxError, OSError, ValueError, RuntimeError) as e:
      text = " ".join(str(e).split())
      raise ValueError(f"cannot be decoded ({text})") from e
    base.check_size(image, self.h, self.w)
    return image
