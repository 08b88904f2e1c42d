"""What a codec is: one file of this folder for each way to decode images.

A codec is a module with two functions:

- `matches(data: bytes) -> bool`: whether a file is of its kind, by the first
  bytes alone.
- `read(data: bytes) -> Encoded`: reads the header and decodes no pixels. It
  raises ValueError for a header that it cannot use, IndexError or struct.error
  where the file ends too early.

Messages of errors go on after "record 7: the image ". `decode.py` picks the
codec; nothing outside `preprocess` names one.
"""

import abc
import dataclasses

from jaxtyping import UInt8
import numpy as np


@dataclasses.dataclass(frozen=True)
class Encoded(abc.ABC):
  """An image file of which only the header has been read.

  Attributes:
    data: the whole file.
    h, w: the height and width in px that the header claims.
    scales: the scales below full size that `decode` offers, largest first.
  """

  data: bytes
  h: int
  w: int
  scales: tuple[int, ...] = ()

  @abc.abstractmethod
  def decode(
    self, channels: int, rows: int, scale: int
  ) -> UInt8[np.ndarray, "h w c"]:
    """The pixels, or more of them than were asked for.

    Args:
      channels: 1 (grey) or 3 (RGB); a codec that cannot convert returns what
        the file has.
      rows: how many rows from the top are needed, in px of the file. A codec
        may decode more.
      scale: 1, or one of `scales`. Each pixel is the mean over a square of
        that side; sides are rounded up.

    Raises:
      ValueError: the file is damaged, or is not of the size that it claims.
    """


def check_size(
  image: UInt8[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w"], h: int, w: int
) -> None:
  """Raises ValueError unless the decoded image is h x w px."""
  if image.shape[:2] != (h, w):
    raise ValueError(
      f"claims {h} x {w} pixels, but holds {image.shape[0]} x {image.shape[1]}"
    )
