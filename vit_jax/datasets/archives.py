"""Lists images in folders and tar files, whose bytes are then read in place.

Nothing is unpacked: an image is a slice of a file. Tar files are not trusted:
links, devices, sparse and compressed files, names of another form, sizes
beyond the end and headers of unusual size are errors.
"""

from collections.abc import Iterator
import dataclasses
import io
import os
import pathlib
import re
import stat
import tarfile

from vit_jax.core import errors
from vit_jax.data import paths
from vit_jax.preprocess import decode

IMAGE = re.compile(r"[\w.-]+\.(JPEG|jpeg|JPG|jpg)")
_WNID = re.compile(r"n\d{8}")
_INNER_TAR = re.compile(r"n\d{8}\.tar")
_BLOCK = 512
# Names of a kilobyte need less.
_MOST_HEADER_BYTES = 64 * 1024
# ImageNet's largest image has 15 MB.
_MOST_BYTES = 256 * 2**20


@dataclasses.dataclass(frozen=True)
class Slice:
  """Where an image is: bytes of a file, and the image's name there."""

  name: str
  path: str
  offset: int
  size: int


def read(path: str, offset: int, size: int, name: str = "") -> bytes:
  """The bytes of a slice; a DataError if they are not all there."""
  with paths.reading(path, name), open(path, "rb") as f:
    f.seek(offset)
    data = f.read(size)
  if len(data) != size:
    raise errors.DataError(
      f"{paths.printable(path)}{f', {name}' if name else ''} has"
      f" {len(data)} bytes, not the {size} it was listed with"
    )
  return data


def check_image(data: bytes, where: str) -> None:
  """Raises a DataError if data are not an image, or one that is cut off.

  Looks only at the header and the end; `data verify --images` decodes.
  """
  try:
    decode.header_size(data)
  except ValueError as e:
    raise errors.DataError(f"{where}: the image {e}") from e


def classes(folder: pathlib.Path) -> Iterator[tuple[str, Iterator[Slice]]]:
  """Class and images of each n01234567 or n01234567.tar in a folder.

  Raises:
    DataError: there is something else, or it cannot be read.
  """
  with paths.reading(folder):
    entries = sorted(folder.iterdir())
  for entry in entries:
    if entry.name.startswith("."):
      continue
    if not _WNID.fullmatch(entry.stem) or entry.suffix not in ("", ".tar"):
      raise errors.DataError(
        f"{paths.printable(entry)} is not a folder or tar file of a class, such"
        " as n01440764 or n01440764.tar; move it away"
      )
    yield entry.stem, members(entry) if entry.suffix else files(entry)


def nested(tar: pathlib.Path) -> Iterator[tuple[str, Iterator[Slice]]]:
  """Class and images of each tar file within a tar file; see `classes`."""
  for inner in members(tar, name=_INNER_TAR, most_bytes=2**63):
    yield inner.name[:-4], members(tar, inner)


def files(folder: pathlib.Path) -> Iterator[Slice]:
  """The images of a folder; a DataError if there is anything else."""
  with paths.reading(folder):
    names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
  for name in names:
    path = os.path.join(folder, name)
    with paths.reading(path):
      status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) or not IMAGE.fullmatch(name):
      raise errors.DataError(f"{paths.printable(path)} is not a *.JPEG file")
    yield Slice(name, path, 0, status.st_size)


def members(
  tar: pathlib.Path,
  inside: Slice | None = None,
  *,
  name: re.Pattern[str] = IMAGE,
  most_bytes: int = _MOST_BYTES,
) -> Iterator[Slice]:
  """The files of a tar file, or of a tar file that is a slice inside it.

  A file may have at most `most_bytes`; its name without folders must match.

  Raises:
    DataError: what this module refuses, a name that occurs twice, or a file
      that is damaged or cut off.
  """
  where = f"{paths.printable(tar)}{f', {inside.name}' if inside else ''}"
  first = inside.offset if inside else 0
  seen: set[str] = set()
  try:
    with (
      _Headers(str(tar), first, inside.size if inside else None) as file,
      tarfile.open(fileobj=file, mode="r:") as archive,
    ):
      while member := archive.next():
        # The archive would keep all members in memory.
        archive.members.clear()  # type: ignore[attr-defined]
        if member.isdir():
          continue
        short = member.name.rpartition("/")[2]
        fault = _fault(member, file.size, most_bytes)
        if not fault and not name.fullmatch(short):
          fault = f"has not the form {name.pattern}"
        if not fault and short in seen:
          fault = "is there twice"
        if fault:
          shown = repr(paths.printable(member.name)[:100])
          raise errors.DataError(f"{where}: {shown} {fault}")
        seen.add(short)
        offset = first + member.offset_data
        yield Slice(short, str(tar), offset, member.size)
      file.seek(archive.offset)
      if file.read(_BLOCK).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {archive.offset}")
  except (tarfile.TarError, EOFError, ValueError) as e:
    raise errors.DataError(f"{where} is not a complete tar file: {e}") from e
  except OSError as e:
    raise errors.DataError(f"{where} cannot be read: {e.strerror}") from e


def _fault(member: tarfile.TarInfo, size: int, most_bytes: int) -> str:
  """What is wrong with a member of a tar file of `size` bytes, or ""."""
  if not member.isreg() or member.issparse():
    return "is not a plain file"
  if not 0 <= member.size <= most_bytes:
    return f"claims {member.size} bytes"
  if member.offset_data + member.size > size:
    return "is cut off: it ends behind the last byte of the tar file"
  return ""


class _Headers(io.FileIO):
  """A part of a file of which only headers are read."""

  def __init__(self, path: str, first: int, size: int | None):
    super().__init__(path)
    self._first = first
    self.size = os.fstat(self.fileno()).st_size if size is None else size
    self.seek(0)

  def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
    if whence != io.SEEK_SET:
      raise ValueError("only from the start")
    return super().seek(self._first + offset) - self._first

  def tell(self) -> int:
    return super().tell() - self._first

  def read(self, size: int | None = -1) -> bytes:
    if size is None or not 0 <= size <= _MOST_HEADER_BYTES:
      raise tarfile.ReadError(f"a header of {size} bytes")
    return super().read(max(0, min(size, self.size - self.tell()))) or b""
