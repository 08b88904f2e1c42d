"""Tensors in files: what a file claims to hold, read one at a time."""

from collections.abc import Callable, Mapping
import dataclasses
import math
import os
from typing import IO, Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from vit_jax.core import errors

# numpy's own type for it has no name in the formats that are read here.
BFLOAT16 = np.dtype(jnp.bfloat16)


@dataclasses.dataclass(frozen=True)
class Tensor:
  """One array, its claims already checked against the size of its file.

  Attributes:
    shape: its axes.
    dtype: as stored.
    read: its values; nothing of that size exists before the call.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  read: Callable[[], np.ndarray]

  @property
  def nbytes(self) -> int:
    return math.prod(self.shape) * self.dtype.itemsize


Tensors: TypeAlias = Mapping[str, Tensor]


def of_array(array: Any) -> Tensor:
  """The tensor with these values."""
  return Tensor(array.shape, np.dtype(array.dtype), lambda: np.asarray(array))


def fill(stream: IO[bytes], tensor: np.ndarray) -> None:
  """Reads exactly the bytes of a C-contiguous array into it.

  Raises:
    EOFError: there are fewer.
  """
  view = memoryview(tensor.reshape(-1).view(np.uint8).data)
  while view:
    # In pieces, as a stream may make a copy of what it hands out.
    count = stream.readinto(view[: 1 << 20])  # type: ignore[attr-defined]
    if not count:
      raise EOFError(f"{len(view)} bytes are missing")
    view = view[count:]


def refused(path: str | os.PathLike, reason: str) -> errors.CheckpointError:
  """The error of a file that is cut off, damaged or lies about itself."""
  return errors.CheckpointError(f"{path} is refused: {reason}")
