"""Paths of files on a disk of this machine, or in a bucket (gs://).

Both are paths with the methods of `pathlib.Path` that this code base uses. A
bucket has objects and no folders: a folder is there as long as something is in
it, an object appears whole when its upload has ended, and nothing can be
renamed, only copied. Everything goes through TensorStore, as Orbax's arrays do,
so there is one set of credentials: Google's application default ones.
"""

from collections.abc import Iterator
import fnmatch
import functools
import io
import os
import pathlib
from typing import Any, TypeAlias

from etils import epath
from etils.epath import gpath

from vit_jax.core import errors

SCHEME = "gs://"
# For one object. TensorStore itself would try again for a quarter of an hour.
_TIMEOUT_S = 300
_RETRIES = {"max_retries": 5, "initial_delay": "1s", "max_delay": "8s"}


def path(place: "str | os.PathLike[str]") -> "AnyPath":
  """The path of a text, on a disk (~ is the home folder) or in a bucket.

  Raises:
    ConfigError: a kind of storage that this code base does not know.
  """
  text = os.fspath(place)
  if text.startswith(SCHEME):
    if not text.removeprefix(SCHEME).partition("/")[0]:
      raise errors.ConfigError(f"{text} names no bucket: gs://BUCKET/FOLDER")
    _make_known()
    return BucketPath(text)
  if "://" in text:
    raise errors.ConfigError(
      f"{text} is on no storage that is known: a path, or gs://BUCKET/FOLDER;"
      " mount another kind and use the mounted path"
    )
  return pathlib.Path(os.path.expanduser(text))


class BucketPath(gpath.PosixGPath):  # type: ignore[misc, valid-type]
  """An object or a folder in a bucket.

  Every method raises BucketError if the bucket fails to do what it should.
  """

  @property
  def _bucket(self) -> str:
    return str(self).removeprefix(SCHEME).partition("/")[0]

  @property
  def _key(self) -> str:
    return str(self).removeprefix(SCHEME).partition("/")[2]

  @property
  def in_bucket(self) -> bool:
    """Whether this is more than the bucket itself."""
    return bool(self._key)

  @property
  def _inside(self) -> str:
    return f"{self._key}/" if self._key else ""

  def read(self) -> tuple[bytes | None, bytes]:
    """The content of the object, or None if there is none; its generation."""
    result = self._wait(_store(self._bucket).read(self._key))
    value = result.value if result.state == "value" else None
    return value, result.stamp.generation

  def write(self, data: bytes | None, if_equal: bytes | None = None) -> bytes:
    """Replaces the object, or deletes it if `data` is None.

    Args:
      data: the new content.
      if_equal: writes only if the object still has this generation.

    Returns:
      The new generation; empty if the object had another one.
    """
    store = _store(self._bucket)
    done = self._wait(store.write(self._key, data, if_equal=if_equal))
    return done.generation

  def files(self) -> list[str]:
    """The names of all objects in the folder, relative to it, sorted."""
    keys = self._wait(_store(self._bucket).list(_below(self._inside)))
    skip = len(self._inside)
    return sorted(key.decode()[skip:] for key in keys)

  def exists(self) -> bool:
    return self.is_file() or self.is_dir()

  def is_file(self) -> bool:
    keys = self._wait(_store(self._bucket).list(_only(self._key)))
    return bool(keys)

  def is_dir(self) -> bool:
    return bool(self.files())

  def absolute(self) -> "BucketPath":
    return self

  def is_symlink(self) -> bool:
    return False

  def iterdir(self) -> Iterator["BucketPath"]:
    for name in sorted({name.partition("/")[0] for name in self.files()}):
      yield self / name

  def glob(self, pattern: str) -> Iterator["BucketPath"]:
    """The paths in this folder whose name matches, not in folders below it."""
    for path in self.iterdir():
      if fnmatch.fnmatchcase(path.name, pattern):
        yield path

  def mkdir(self, *_: Any, **__: Any) -> None:
    """Does nothing: a bucket has no folders to be made."""

  def open(self, mode: str = "r", **_: Any) -> Any:
    if "w" in mode:
      file: io.BytesIO = _Writer(self)
      return file if "b" in mode else io.TextIOWrapper(file, "utf-8")
    data = self.read()[0]
    if data is None:
      raise FileNotFoundError(2, "No such object", str(self))
    file = io.BytesIO(data)
    return file if "b" in mode else io.TextIOWrapper(file, "utf-8")

  def unlink(self, missing_ok: bool = False) -> None:
    self.write(None)

  def rmtree(self, missing_ok: bool = False) -> None:
    self._wait(_store(self._bucket).delete_range(_below(self._inside)))

  def rename(self, target: Any) -> "BucketPath":
    """Copies a folder through this machine, then deletes it."""
    to = BucketPath(target)
    for name in self.files():
      (to / name).write((self / name).read()[0])
    self.rmtree()
    return to

  def _wait(self, future: Any) -> Any:
    """The result of a future; errors of TensorStore become one line."""
    try:
      return future.result(timeout=_TIMEOUT_S)
    except TimeoutError:
      reason = f"no answer within {_TIMEOUT_S} s"
    except (ValueError, RuntimeError) as e:
      # The rest is the server's whole answer and where TensorStore met it.
      reason = str(e).partition(" [")[0].partition("\n")[0]
    raise errors.BucketError(
      f"{self}: {reason}; see that the bucket exists and that this machine may"
      " write to it (gcloud auth application-default login)"
    )


class _Writer(io.BytesIO):
  """A file that is uploaded when it is closed."""

  def __init__(self, to: BucketPath):
    super().__init__()
    self._to = to

  def close(self) -> None:
    data = None if self.closed else self.getvalue()
    # An upload that fails is not tried again when the object is deleted.
    super().close()
    if data is not None:
      self._to.write(data)


@functools.cache
def _make_known() -> None:
  # Orbax and TFDS make paths of texts themselves.
  epath.register_path_cls(SCHEME)(BucketPath)


AnyPath: TypeAlias = pathlib.Path | BucketPath


@functools.cache
def _store(bucket: str) -> Any:
  # Takes a second to import.
  import tensorstore as ts

  return ts.KvStore.open(
    {"driver": "gcs", "bucket": bucket, "gcs_request_retries": _RETRIES}
  ).result()


def _below(prefix: str) -> Any:
  import tensorstore as ts

  # "0" comes after "/".
  end = f"{prefix[:-1]}0" if prefix else ""
  return ts.KvStore.KeyRange(prefix, end)


def _only(key: str) -> Any:
  import tensorstore as ts

  return ts.KvStore.KeyRange(key, f"{key}\0")
