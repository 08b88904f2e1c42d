"""Writes files completely or not at all; locks them."""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import functools
import io
import json
import os
import pathlib
import re
import secrets
import stat
import sys
from typing import IO, Any

from vit_jax.core import errors, storage
from vit_jax.core.storage import AnyPath

# How file systems say that they lack an operation, rather than fail at it.
_LACKING = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


@contextlib.contextmanager
def replacing(path: AnyPath, *, parents: bool = False) -> Iterator[IO[bytes]]:
  """A file to write that takes the place of `path` once it is on the disk.

  Where `path` is a symbolic link, the file that it leads to is replaced. A
  terminal, a pipe or another character device is written to as it is, for
  example /dev/stdout. The new file has the permissions of the old one. With
  `parents` the folders on the way to it are made.

  Raises:
    StorageError: it cannot be written, for example because its folder does not
      exist; what was there before still is.
  """
  try:
    if isinstance(path, storage.BucketPath):
      data = io.BytesIO()
      yield data
      path.write(data.getvalue())
    elif is_stream(path):
      sys.stdout.flush()
      # Appended, in case a shell has sent this descriptor to a file.
      with open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as f:
        yield f
    else:
      if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
      # Of a link, the file that it leads to.
      yield from _replaced(pathlib.Path(os.path.realpath(path)))
  except errors.BucketError:
    raise
  except OSError as e:
    raise errors.StorageError(
      f"{path} cannot be written: {e.strerror or e}; free space there or make"
      " it writable, then run again"
    ) from e


def write(path: AnyPath, data: bytes | str) -> None:
  """Replaces a file by one that holds `data`; see `replacing`."""
  with replacing(path) as f:
    f.write(data.encode() if isinstance(data, str) else data)


def read_rows(path: AnyPath) -> list[dict[str, Any]]:
  """The objects of a file with one JSON object a line; none if it is missing.

  A last line that a crash has cut off is left out.

  Raises:
    DataError: another line is no JSON.
  """
  lines = path.read_text().split("\n") if path.exists() else []
  rows = []
  for number, line in enumerate(lines, 1):
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError as e:
      if number == len(lines):
        break
      raise errors.DataError(f"{path}, line {number}: {e}") from e
  return rows


def _replaced(path: pathlib.Path) -> Iterator[IO[bytes]]:
  # A name of its own, in case two processes write the same file.
  part = path.with_name(f".part-{secrets.token_hex(8)}")
  try:
    with part.open("xb") as f:
      yield f
      f.flush()
      sync(f.fileno())
    with contextlib.suppress(FileNotFoundError):
      part.chmod(stat.S_IMODE(path.stat().st_mode))
    part.replace(path)
  finally:
    with contextlib.suppress(OSError):
      part.unlink(missing_ok=True)


def is_stream(path: AnyPath) -> bool:
  """Whether `path` is a stream such as /dev/stdout, which keeps no bytes.

  Raises:
    OSError: a disk or a socket, which are not written to.
  """
  if isinstance(path, storage.BucketPath):
    return False
  if _is_descriptor(path):
    return True
  try:
    mode = path.stat().st_mode
  except FileNotFoundError:
    return False
  if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
    raise OSError(f"it is a {'disk' if stat.S_ISBLK(mode) else 'socket'}")
  return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _is_descriptor(path: pathlib.Path) -> bool:
  """Whether `path` names an open file of a process, as /dev/stdout does."""
  place = os.path.abspath(path)
  # As many links as Linux follows.
  for _ in range(40):
    folder, name = os.path.split(place)
    folder = os.path.realpath(folder)
    if re.fullmatch(r"/proc/\d+(/task/\d+)?/fd", folder):
      return True
    place = os.path.join(folder, name)
    if not os.path.islink(place):
      return False
    place = os.path.normpath(os.path.join(folder, os.readlink(place)))
  return False


@contextlib.contextmanager
def locked(file: pathlib.Path) -> Iterator[int | None]:
  """Locks a file, which is made if needed, until the context ends.

  Where the file system has no locks, it is as if the lock had been free, and
  that is printed: a file that claims the place would outlive a process that is
  killed, and refuse the one that resumes.

  Yields:
    Its descriptor, to be inherited by processes that are to keep the lock; or
    None where another process has locked it.
  """
  file.parent.mkdir(parents=True, exist_ok=True)
  with file.open("a") as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      yield None
      return
    except OSError as e:
      if e.errno not in _LACKING:
        raise
      _say_unlocked(file.parent, e.strerror)
    yield lock.fileno()


@functools.cache
def _say_unlocked(folder: pathlib.Path, reason: str) -> None:
  print(
    f"{folder} has no file locks ({reason}): two processes that write there at"
    " the same time are not noticed, so start one at a time",
    file=sys.stderr,
    flush=True,
  )


def sync(descriptor: int) -> bool:
  """Puts an open file on the disk; False if its file system cannot do that.

  Some cannot sync folders (CIFS, some of FUSE), or anything at all. There the
  last writes before a machine dies may be lost, which hashes then tell.
  """
  try:
    os.fsync(descriptor)
  except OSError as e:
    if e.errno not in _LACKING:
      raise
    return False
  return True


def sync_folder(path: str | os.PathLike) -> bool:
  """Puts the names in a folder on the disk; see `sync`."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    return sync(descriptor)
  finally:
    os.close(descriptor)
