"""What is checked of an image before it is written into a data set."""

from vit_jax.core import errors
from vit_jax.preprocess import decode


def check(data: bytes, where: str) -> None:
  """Raises DataError for what is no image, or one that is cut off.

  Looks at the header and the end alone; `data verify --images` decodes.
  """
  try:
    decode.header_size(data)
  except ValueError as e:
    raise errors.DataError(f"{where}: the image {e}") from e
