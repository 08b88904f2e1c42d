"""Tensors in files, which are read one at a time."""

from collections.abc import Callable, Mapping
import dataclasses
import math
import os
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from vit_jax.core import errors

# numpy has no type of its own for it; this is that of ml_dtypes.
BFLOAT16 = np.dtype(jnp.bfloat16)


@dataclasses.dataclass(frozen=True)
class Tensor:
  """One array of a file, whose size was compared with that of the file.

  Attributes:
    shape: the sizes of its axes.
    dtype: the type in the file.
    read: returns the values; no memory of that size is taken before the call.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  read: Callable[[], np.ndarray]

  @property
  def nbytes(self) -> int:
    return math.prod(self.shape) * self.dtype.itemsize


Tensors: TypeAlias = Mapping[str, Tensor]


def from_array(array: Any) -> Tensor:
  """The tensor that holds an array."""
  return Tensor(array.shape, np.dtype(array.dtype), lambda: np.asarray(array))


def refused(path: str | os.PathLike, reason: str) -> errors.CheckpointError:
  """The error about a file that is cut off, damaged or hostile."""
  return errors.CheckpointError(f"{path} is refused: {reason}")
