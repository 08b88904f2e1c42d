"""Lists images in folders and tar files, whose bytes are then read in place.

Nothing is unpacked: an image is a slice of a file. A tar file is read as one
is that somebody else made: links, devices, sparse and compressed files, names
of another form, sizes beyond the end and headers of unusual size are errors.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import io
import os
import pathlib
import re
import stat
import tarfile

from vit_jax.core import errors
from vit_jax.data import table

_BLOCK = 512
# Of a header. Names of a kilobyte have less.
_MOST_HEADER = 64 * 1024
# Of an image; ImageNet's largest has 15 MB.
_MOST_BYTES = 256 * 2**20


@dataclasses.dataclass(frozen=True)
class Slice:
  """Where an image is: bytes of a file, and the name it has there."""

  name: str
  path: str
  offset: int
  size: int


def read(path: str, offset: int, size: int, name: str = "") -> bytes:
  """The bytes of a slice.

  Raises:
    DataError: they cannot be read, or not all of them.
  """
  shown = f"{table.shown(path)}{f', {name}' if name else ''}"
  try:
    with open(path, "rb") as f:
      f.seek(offset)
      data = f.read(size)
  except OSError as e:
    raise errors.DataError(f"{shown} cannot be read: {e.strerror}") from e
  if len(data) != size:
    raise errors.DataError(
      f"{shown} has {len(data)} bytes, not the {size} it was listed with"
    )
  return data


def classes(folder: pathlib.Path) -> Iterator[tuple[str, Iterator[Slice]]]:
  """Class and images of each n01234567 or n01234567.tar in a folder.

  Raises:
    DataError: something else is there, or cannot be read.
  """
  with _readable(folder):
    entries = sorted(folder.iterdir())
  for entry in entries:
    if entry.name.startswith("."):
      continue
    if not _WNID.fullmatch(entry.stem) or entry.suffix not in ("", ".tar"):
      raise errors.DataError(
        f"{table.shown(str(entry))} is no folder or tar file of a class, such"
        " as n01440764 or n01440764.tar; move it away"
      )
    if entry.suffix:
      yield entry.stem, members(entry)
    else:
      yield entry.name, files(entry)


def nested(tar: pathlib.Path) -> Iterator[tuple[str, Iterator[Slice]]]:
  """Class and images of each tar file within a tar file; see `classes`."""
  for inner in members(tar, name=re.compile(r"n\d{8}\.tar"), most=2**63):
    yield inner.name[:-4], members(tar, inner)


_WNID = re.compile(r"n\d{8}")
IMAGE = re.compile(r"[\w.-]+\.(JPEG|jpeg|JPG|jpg)")


def files(folder: pathlib.Path) -> Iterator[Slice]:
  """The images of a folder.

  Raises:
    DataError: something else is there, or cannot be read.
  """
  with _readable(folder):
    names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
  for name in names:
    path = os.path.join(folder, name)
    with _readable(path):
      found = os.stat(path)
    if not stat.S_ISREG(found.st_mode) or not IMAGE.fullmatch(name):
      raise errors.DataError(f"{table.shown(path)} is no *.JPEG file")
    yield Slice(name, path, 0, found.st_size)


def members(
  tar: pathlib.Path,
  inside: Slice | None = None,
  *,
  name: re.Pattern[str] = IMAGE,
  most: int = _MOST_BYTES,
) -> Iterator[Slice]:
  """The files of a tar file, or of one that is a slice of it.

  Args:
    tar: the file.
    inside: the slice of it that is meant.
    name: what the names must look like, without their folders.
    most: bytes that a file may have.

  Raises:
    DataError: what was said above, a name that is there twice, or a file that
      is damaged or cut off.
  """
  where = f"{table.shown(str(tar))}{f', {inside.name}' if inside else ''}"
  first = inside.offset if inside else 0
  seen: set[str] = set()
  try:
    with (
      _Headers(str(tar), first, inside and inside.size) as file,
      tarfile.open(fileobj=file, mode="r:") as archive,
    ):
      while member := archive.next():
        # It would keep all that it has seen.
        archive.members.clear()
        if member.isdir():
          continue
        found = member.name.rpartition("/")[2]
        _check(where, member, found, name, most, file.size)
        if found in seen:
          raise errors.DataError(f"{where}: {found} is there twice")
        seen.add(found)
        offset = first + member.offset_data
        yield Slice(found, str(tar), offset, member.size)
      file.seek(archive.offset)
      if file.read(_BLOCK).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {archive.offset}")
  except (tarfile.TarError, EOFError, ValueError) as e:
    raise errors.DataError(f"{where} is no whole tar file: {e}") from e
  except OSError as e:
    raise errors.DataError(f"{where} cannot be read: {e.strerror}") from e


def _check(
  where: str,
  member: tarfile.TarInfo,
  found: str,
  name: re.Pattern[str],
  most: int,
  size: int,
) -> None:
  """Refuses what nobody would put into such a file."""
  shown = repr(table.shown(member.name)[:100])
  if not member.isreg() or member.issparse():
    raise errors.DataError(f"{where}: {shown} is no plain file")
  if not name.fullmatch(found):
    raise errors.DataError(f"{where}: {shown} has not the form {name.pattern}")
  if not 0 <= member.size <= most:
    raise errors.DataError(f"{where}: {shown} claims {member.size} bytes")
  if member.offset_data + member.size > size:
    raise errors.DataError(
      f"{where} is cut off: {shown} ends behind its last byte"
    )


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

  def read(self, size: int = -1) -> bytes:
    if not 0 <= size <= _MOST_HEADER:
      raise tarfile.ReadError(f"a header of {size} bytes")
    return super().read(max(0, min(size, self.size - self.tell())))


@contextlib.contextmanager
def _readable(path: str | pathlib.Path) -> Iterator[None]:
  try:
    yield
  except OSError as e:
    raise errors.DataError(
      f"{table.shown(str(path))} cannot be read: {e.strerror}"
    ) from e
