"""safetensors files: a JSON header, then the bytes of the tensors.

The header is checked completely when the file is opened: every byte after it
belongs to exactly one tensor. Format: github.com/huggingface/safetensors.
"""

from collections.abc import Iterator, Mapping
import contextlib
import json
import math
import os
import pathlib
import struct
from typing import IO, Any

import numpy as np

from vit_jax.checkpoints import tensors
from vit_jax.checkpoints.tensors import Tensor, refused
from vit_jax.core import files

_MAX_HEADER = 16 << 20
_METADATA = "__metadata__"
_DTYPES = {
  "F64": np.dtype("<f8"),
  "F32": np.dtype("<f4"),
  "F16": np.dtype("<f2"),
  "BF16": tensors.BFLOAT16,
  "I64": np.dtype("<i8"),
  "I32": np.dtype("<i4"),
  "I16": np.dtype("<i2"),
  "I8": np.dtype("i1"),
  "U64": np.dtype("<u8"),
  "U32": np.dtype("<u4"),
  "U16": np.dtype("<u2"),
  "U8": np.dtype("u1"),
  "BOOL": np.dtype("?"),
}


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[dict[str, Tensor]]:
  """The tensors of a safetensors file by name; open while in use.

  Raises:
    CheckpointError: cut off, damaged, or a claim that cannot be true.
  """
  with contextlib.ExitStack() as stack:
    try:
      f = stack.enter_context(path.open("rb"))
    except OSError as e:
      raise refused(path, str(e.strerror)) from e
    header, start = _header(path, f)
    yield {
      name: _tensor(path, f, name, entry, start)
      for name, entry in _checked(path, header, start).items()
    }


def _header(path: pathlib.Path, f: IO[bytes]) -> tuple[dict[str, Any], int]:
  """The header, and where the data begins."""
  size = os.fstat(f.fileno()).st_size
  first = f.read(8)
  if len(first) < 8:
    raise refused(path, f"it is cut off after {len(first)} bytes")
  (length,) = struct.unpack("<Q", first)
  if length > min(size - 8, _MAX_HEADER):
    raise refused(path, f"{size} bytes claim a header of {length}")
  try:
    header = json.loads(f.read(length), object_pairs_hook=_no_duplicates)
  except (ValueError, RecursionError) as e:
    raise refused(path, f"its header is no JSON ({e})") from e
  if not isinstance(header, dict):
    raise refused(path, "its header is no table of tensors")
  return header, 8 + length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  if len(dict(pairs)) < len(pairs):
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise ValueError(f"{twice!r} stands there twice")
  return dict(pairs)


def _checked(
  path: pathlib.Path, header: dict[str, Any], start: int
) -> dict[str, dict[str, Any]]:
  """The entries of the tensors, after all of them agreed with the file."""
  metadata = header.pop(_METADATA, {})
  if not isinstance(metadata, dict):
    raise refused(path, f"{_METADATA} is no table")
  spans = []
  for name, entry in header.items():
    _check_entry(path, name, entry)
    begin, end = entry["data_offsets"]
    bits = _DTYPES[entry["dtype"]].itemsize * math.prod(entry["shape"])
    if end - begin != bits:
      raise refused(
        path,
        f"{name} claims {entry['dtype']} of shape {entry['shape']}, but holds"
        f" {end - begin} bytes",
      )
    spans.append((begin, end, name))
  at = 0
  for begin, end, name in sorted(spans):
    if begin != at:
      raise refused(path, f"{name} begins at byte {begin} instead of {at}")
    at = end
  size = path.stat().st_size - start
  if at != size:
    raise refused(path, f"its tensors have {at} bytes, the file has {size}")
  return header


def _check_entry(path: pathlib.Path, name: str, entry: Any) -> None:
  keys = {"dtype", "shape", "data_offsets"}
  if not isinstance(entry, dict) or entry.keys() != keys:
    raise refused(path, f"{name} is not {', '.join(sorted(keys))}")
  for key in ("shape", "data_offsets"):
    value = entry[key]
    if not isinstance(value, list) or len(value) > 32:
      raise refused(path, f"{name}: {key} is no list of sizes")
    if any(type(n) is not int or not 0 <= n < 2**63 for n in value):
      raise refused(path, f"{name}: {key} is no list of sizes")
  if len(entry["data_offsets"]) != 2:
    raise refused(path, f"{name}: data_offsets is not begin and end")
  if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
    raise refused(path, f"{name} is of the unknown dtype {entry['dtype']!r}")


def _tensor(
  path: pathlib.Path,
  f: IO[bytes],
  name: str,
  entry: dict[str, Any],
  start: int,
) -> Tensor:
  shape, dtype = tuple(entry["shape"]), _DTYPES[entry["dtype"]]

  def read() -> np.ndarray:
    out = np.empty(shape, dtype)
    try:
      f.seek(start + entry["data_offsets"][0])
      tensors.fill(f, out)
    except (OSError, EOFError) as e:
      raise refused(path, f"{name}: {e}") from e
    return out

  return Tensor(shape, dtype, read)


def write(path: pathlib.Path, arrays: Mapping[str, Tensor]) -> None:
  """Writes a safetensors file, one tensor after the other.

  Raises:
    StorageError: it cannot be written; what was there before still is.
  """
  names = {dtype: name for name, dtype in _DTYPES.items()}
  # Wider types first, so that every tensor is aligned.
  order = sorted(arrays, key=lambda n: (-arrays[n].dtype.itemsize, n))
  # transformers refuses a file that does not name the framework.
  header: dict[str, Any] = {_METADATA: {"format": "pt"}}
  at = 0
  for name in order:
    tensor = arrays[name]
    header[name] = {
      "dtype": names[tensor.dtype],
      "shape": list(tensor.shape),
      "data_offsets": [at, at + tensor.nbytes],
    }
    at += tensor.nbytes
  text = json.dumps(header, separators=(",", ":")).encode()
  text += b" " * (-len(text) % 8)
  with files.replacing(path, parents=True) as f:
    f.write(struct.pack("<Q", len(text)) + text)
    for name in order:
      value = np.ascontiguousarray(arrays[name].read())
      f.write(value.reshape(-1).view(np.uint8).data)
