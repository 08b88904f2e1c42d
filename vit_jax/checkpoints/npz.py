"""npz files: zip archives of .npy arrays, from anybody.

Names, sizes and headers are all checked when the file is opened. An array is
only read after that, and its checksum is verified. No pickles, no objects.
"""

from collections.abc import Iterator, Mapping
import contextlib
import io
import math
import os
import pathlib
import struct
import tokenize
import warnings
import zipfile
import zlib

import numpy as np

from vit_jax.checkpoints import tensors
from vit_jax.checkpoints.tensors import Tensor, refused
from vit_jax.core import files

SUFFIX = ".npz"
_MAGIC = b"PK\x03\x04"
_MAX_MEMBERS = 100_000
_MAX_HEADER = 4096
# Deflate cannot compress more than this, and weights are far from it.
_MAX_RATIO = 1032
_MAX_TOTAL_RATIO, _FREE_TOTAL = 100, 256 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile and zlib raise on damaged or foreign archives.
_DAMAGED = (
  *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError),
  *(NotImplementedError, RuntimeError, OverflowError, struct.error),
)
# What numpy raises on headers that are no literal.
_NO_HEADER = (
  *(ValueError, TypeError, KeyError, SyntaxError, tokenize.TokenError),
  *(RecursionError, MemoryError),
)


def begins(head: bytes) -> bool:
  """Whether a file that begins with these nine bytes is of this kind."""
  return head.startswith(_MAGIC)


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[dict[str, Tensor]]:
  """The arrays of an npz file by name, without .npy; see base.Container."""
  with contextlib.ExitStack() as stack:
    try:
      archive = stack.enter_context(zipfile.ZipFile(path))
      infos = archive.infolist()
      _check_members(path, infos)
      members = {
        info.filename.removesuffix(".npy"): _member(path, archive, info)
        for info in infos
      }
    except _DAMAGED as e:
      raise refused(path, _reason(e)) from e
    yield members


def _check_members(path: pathlib.Path, infos: list[zipfile.ZipInfo]) -> None:
  """Checks names and sizes of all members in the archive's directory."""
  size = os.path.getsize(path)
  if len(infos) > _MAX_MEMBERS:
    raise refused(path, f"{len(infos)} members")
  if any(info.filename.endswith(".pkl") for info in infos):
    raise refused(
      path,
      "it is a PyTorch pickle, which could run code; convert it to safetensors"
      " where it comes from",
    )
  seen: set[str] = set()
  end = 0
  for info in sorted(infos, key=lambda info: info.header_offset):
    name = info.filename
    if name in seen:
      raise refused(path, f"two members are called {name!r}")
    seen.add(name)
    bad = {"", ".", ".."} & set(name.split("/"))
    if bad or not name.endswith(".npy") or not name.isprintable():
      raise refused(path, f"{name!r} is not the name of an array")
    if "\\" in name or ":" in name or info.orig_filename != name:
      raise refused(path, f"{info.orig_filename!r} is not the name of an array")
    if info.compress_type not in _METHODS or info.flag_bits & 1:
      raise refused(path, f"{name} is encrypted or of an unknown compression")
    stored = info.compress_type == zipfile.ZIP_STORED
    if info.file_size > info.compress_size * (1 if stored else _MAX_RATIO):
      raise refused(
        path, f"{name} claims {info.file_size} bytes in {info.compress_size}"
      )
    if info.header_offset < end:
      raise refused(path, f"{name} overlaps another member")
    end = info.header_offset + info.compress_size
    if end > size:
      raise refused(path, f"{name} reaches beyond the end of the file")
  total = sum(info.file_size for info in infos)
  if total > max(_FREE_TOTAL, _MAX_TOTAL_RATIO * size):
    raise refused(path, f"{size} bytes claim to hold {total}")


def _member(
  path: pathlib.Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> Tensor:
  """The array of a member, whose header agrees with its size."""
  with archive.open(info) as stream:
    start = stream.read(_MAX_HEADER)
  shape, dtype, offset = _header(path, info.filename, start)
  if math.prod(shape) * dtype.itemsize != info.file_size - offset:
    raise refused(
      path,
      f"{info.filename} claims {dtype} of shape {shape}, but holds"
      f" {info.file_size - offset} bytes",
    )

  def read() -> np.ndarray:
    try:
      with archive.open(info) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        # The checksum is verified where the member ends.
        stream.read(1)
    except _DAMAGED as e:
      raise refused(path, f"{info.filename}: {_reason(e)}") from e
    return array.view(dtype)

  return Tensor(shape, dtype, read)


def _header(
  path: pathlib.Path, name: str, start: bytes
) -> tuple[tuple[int, ...], np.dtype, int]:
  """(shape, dtype, bytes before the data) of an .npy."""
  stream = io.BytesIO(start)
  try:
    version = np.lib.format.read_magic(stream)
    readers = {
      (1, 0): np.lib.format.read_array_header_1_0,
      (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
      raise refused(path, f"{name} is of .npy version {version}")
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # odd headers are refused, not warned of
      shape, _, dtype = readers[version](stream, max_header_size=_MAX_HEADER)
  except _NO_HEADER as e:
    raise refused(path, f"{name} has no readable .npy header") from e
  # numpy has no bfloat16: it writes the two bytes without a type.
  if dtype == np.dtype("V2"):
    dtype = tensors.BFLOAT16
  if dtype.kind not in "biuf" and dtype != tensors.BFLOAT16:
    raise refused(path, f"{name} holds {dtype}, not numbers")
  if any(type(n) is not int or n < 0 for n in shape) or len(shape) > 32:
    raise refused(path, f"{name} has the shape {shape}")
  return shape, dtype, stream.tell()


def _reason(e: BaseException) -> str:
  if isinstance(e, OSError) and e.strerror:
    return e.strerror
  return f"it is cut off or damaged ({str(e) or type(e).__name__})"


def write(path: pathlib.Path, arrays: Mapping[str, Tensor]) -> None:
  """Writes an npz file, uncompressed; see base.Container."""
  with (
    files.replacing(path, parents=True) as f,
    zipfile.ZipFile(f, "w", zipfile.ZIP_STORED) as archive,
  ):
    for name, tensor in arrays.items():
      # A ZipInfo without a time: equal arrays make equal files.
      info = zipfile.ZipInfo(f"{name}.npy")
      with archive.open(info, "w", force_zip64=True) as member:
        np.lib.format.write_array(member, tensor.read(), allow_pickle=False)
