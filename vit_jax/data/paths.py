"""Paths in messages, and errors of the file system as errors of data."""

from collections.abc import Iterator
import contextlib
import os
import stat

from vit_jax.core import errors

AnyPath = str | bytes | os.PathLike[str]


def printable(path: AnyPath) -> str:
  """A path that can be printed: bytes that are not UTF-8 become escapes."""
  text = os.fsdecode(path)
  return text.encode("utf-8", "backslashreplace").decode()


def last_name(path: str) -> str:
  """The name of a file or folder without where it is, to be printed."""
  whole = os.path.abspath(os.path.expanduser(path))
  return printable(os.path.basename(whole))


@contextlib.contextmanager
def reading(path: AnyPath, name: str = "") -> Iterator[None]:
  """Turns an OSError into a DataError about a path, or a part of it by name."""
  try:
    yield
  except OSError as e:
    raise errors.DataError(
      f"{printable(path)}{f', {name}' if name else ''} cannot be read:"
      f" {e.strerror}"
    ) from e


def file_size(path: AnyPath) -> int:
  """Bytes of a file.

  Raises:
    DataError: it does not exist or is not a regular file, which may have no
      end.
  """
  with reading(path):
    status = os.stat(path)
  if not stat.S_ISREG(status.st_mode):
    raise errors.DataError(f"{printable(path)} is not a regular file")
  return status.st_size
