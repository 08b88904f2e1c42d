"""safetensors files, read and written by the library of that name.

The library compares every size with the file before it allocates anything. It
accepts three things that are refused here: headers of up to 100 MB, which take
nearly a gigabyte to parse, two tensors of one name, and tensors that numpy
cannot hold.
"""

from collections.abc import Iterator, Mapping
import contextlib
import json
import os
import pathlib
import struct
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from vit_jax.checkpoints import tensors
from vit_jax.checkpoints.tensors import Tensor, refused
from vit_jax.core import files

SUFFIX = ".safetensors"
_MAX_HEADER = 16 << 20
_MAX_AXES = 32
_DTYPES = {
  **{f"F{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
  **{f"I{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
  **{f"U{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
  "BF16": tensors.BFLOAT16,
  "BOOL": np.dtype("?"),
}


def begins(head: bytes) -> bool:
  """Whether a file that begins with these nine bytes is of this kind."""
  return head[8:9] == b"{"


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[dict[str, Tensor]]:
  """The tensors of a safetensors file by name; see base.Container."""
  with contextlib.ExitStack() as stack:
    try:
      header = _header(path)
      file = stack.enter_context(safetensors.safe_open(path, "numpy"))
      json.loads(header, object_pairs_hook=_without_duplicates)
      content = {name: _tensor(path, file, name) for name in file.offset_keys()}
    except (OSError, ValueError, safetensors.SafetensorError) as e:
      raise refused(path, str(e)) from e
    yield content


def _header(path: pathlib.Path) -> bytes:
  """The bytes of the JSON header, which are not too many."""
  with path.open("rb") as f:
    (length,) = struct.unpack("<Q", f.read(8).ljust(8, b"\0"))
    size = os.fstat(f.fileno()).st_size
    if length > min(size - 8, _MAX_HEADER):
      raise ValueError(f"{size} bytes claim a header of {length}")
    return f.read(length)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  if len(dict(pairs)) < len(pairs):
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise ValueError(f"its header has two entries for {twice!r}")
  return dict(pairs)


def _tensor(path: pathlib.Path, file: Any, name: str) -> Tensor:
  entry = file.get_slice(name)
  dtype, shape = entry.get_dtype(), tuple(entry.get_shape())
  if dtype not in _DTYPES:
    raise ValueError(f"{name} has the unsupported dtype {dtype}")
  if len(shape) > _MAX_AXES:
    raise ValueError(f"{name} has {len(shape)} axes")

  def read() -> np.ndarray:
    try:
      return file.get_tensor(name)
    except (ValueError, safetensors.SafetensorError) as e:
      raise refused(path, f"{name}: {e}") from e

  return Tensor(shape, _DTYPES[dtype], read)


def write(path: pathlib.Path, arrays: Mapping[str, Tensor]) -> None:
  """Writes a safetensors file; see base.Container."""
  with files.replacing(path, parents=True) as f:
    values = {
      name: np.asarray(tensor.read(), order="C")
      for name, tensor in arrays.items()
    }
    # transformers refuses a file that does not name the framework.
    f.write(safetensors.numpy.save(values, metadata={"format": "pt"}))
