"""The manifest of a checkpoint: what was saved, and the hash of every file.

It is written last, so a directory with a manifest is a finished save. It is
JSON in a canonical form and holds its own SHA-256, so that a flipped bit in the
manifest is detected just like one in the files that it lists.
"""

from collections.abc import Iterator
from concurrent import futures
import functools
import hashlib
import json
import logging
import os
import re
from typing import IO, Any

from vit_jax.core import errors, files as files_lib, storage
from vit_jax.core.storage import AnyPath

FILE = "manifest.json"
FORMAT = 1
# In the metadata of a run that continues another: which one, from which step.
SEAM = "continues"
# A manifest holds one line a file and array, and at most so much metadata.
MAX_BYTES = 32 << 20
MAX_META_BYTES = 8 << 20
# Files that macOS, Windows, NFS, FUSE, Synology and Syncthing add and remove.
_FOREIGN = re.compile(
  r"\.DS_Store|\._.*|desktop\.ini|Thumbs\.db|\.nfs.*|\.fuse_hidden.*"
  r"|@eaDir|\.stfolder|\.stversions|\.directory"
)
_log = logging.getLogger(__name__)
# Objects of a bucket that are in memory at once; Orbax writes 400 MB each.
_OBJECTS = 4


def write(directory: AnyPath, content: dict[str, Any]) -> None:
  """Makes all files of a finished save durable, then adds the manifest.

  Nothing else may write to the step directory any more. The content is step,
  meta and arrays, all of them JSON.

  Raises:
    OSError: the disk is full or not writable; there is no manifest then.
    CheckpointError: the manifest would be too large to be read again.
  """
  names = sorted(
    name
    for name in _files(directory)
    if not any(map(_FOREIGN.fullmatch, name.split("/")))
  )
  files = _digests(directory, names, durable=True)
  data = _encode({"format": FORMAT, **content, "files": files})
  if len(data) > MAX_BYTES:
    raise errors.CheckpointError(
      f"{directory}: a manifest of {len(data)} bytes is over {MAX_BYTES}"
    )
  if isinstance(directory, storage.BucketPath):
    # Every other object is durable, and this one appears whole.
    (directory / FILE).write(data)
    return
  temporary = directory / f"{FILE}.tmp"
  with open(temporary, "wb") as f:
    f.write(data)
    f.flush()
    files_lib.sync(f.fileno())
  for parent, _, _ in os.walk(directory):
    files_lib.sync_folder(parent)
  # The step directory's own name must be on disk before it counts.
  files_lib.sync_folder(directory.parent)
  os.replace(temporary, directory / FILE)
  files_lib.sync_folder(directory)


def read(directory: AnyPath) -> dict[str, Any]:
  """The manifest's content: step, meta, arrays and files; opens no other file.

  Raises:
    CheckpointError: there is none, it is too large, damaged or foreign.
  """
  try:
    with _open(directory / FILE) as f:
      data = f.read(MAX_BYTES + 1)
  except FileNotFoundError:
    raise _damaged(directory, f"no {FILE}: an unfinished save") from None
  except errors.BucketError:
    # A network that fails does no damage.
    raise
  except OSError as e:
    raise _damaged(directory, f"{FILE}: {e.strerror}") from e
  if len(data) > MAX_BYTES:
    raise _damaged(directory, f"{FILE} is larger than {MAX_BYTES} bytes")
  try:
    body = json.loads(data)["body"]
    intact = _encode(body) == data
  except (ValueError, LookupError, TypeError, RecursionError) as e:
    raise _damaged(directory, f"{FILE} cannot be read") from e
  if not intact:
    raise _damaged(directory, f"{FILE} does not have its own hash")
  if not isinstance(body, dict) or body.get("format") != FORMAT:
    raise _damaged(directory, f"{FILE} is not of format {FORMAT}")
  kinds = {"step": int, "meta": dict, "arrays": dict, "files": dict}
  for key, kind in kinds.items():
    if not isinstance(body.get(key), kind):
      raise _damaged(directory, f"{FILE} has no {key}")
  for kind in body["arrays"].values():
    if not isinstance(kind, list) or len(kind) != 2:
      raise _damaged(directory, f"{FILE}: an array is not [dtype, shape]")
  return body


def _open(path: AnyPath) -> IO[bytes]:
  if isinstance(path, storage.BucketPath):
    return path.open("rb")
  # NONBLOCK: a pipe in its place must not hang the reader.
  return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def verify(directory: AnyPath) -> dict[str, Any]:
  """Reads the manifest and compares every file with it.

  Only files found by walking the directory are opened, never a path that the
  manifest names, so no entry can lead out of it.

  Raises:
    CheckpointError: a file is missing, is no regular file (a link is none),
      or differs in size or SHA-256. Files that are not listed are ignored.
  """
  body = read(directory)
  listed = body["files"]
  try:
    names = set(_files(directory)) - {FILE}
    for name in sorted(listed.keys() - names):
      link = any(p.is_symlink() for p in _path_parts(directory, name))
      raise _damaged(directory, f"{name} is {'a link' if link else 'missing'}")
    if others := names - listed.keys():
      _warn_about(directory, tuple(sorted(others)))
    digests = _digests(directory, sorted(listed), durable=False)
  except errors.BucketError:
    raise
  except OSError as e:
    raise _damaged(directory, f"{e.filename}: {e.strerror}") from e
  for name, digest in digests.items():
    if digest != listed[name]:
      raise _damaged(directory, f"{name} is not as it was saved")
  return body


@functools.cache
def _warn_about(directory: AnyPath, names: tuple[str, ...]) -> None:
  """Warns, once in a process, of files that the manifest does not list."""
  more = f" and {len(names) - 3} more" if len(names) > 3 else ""
  _log.warning(
    "%s has files that are not part of it, which are ignored: %s%s",
    directory,
    ", ".join(names[:3]),
    more,
  )


def _path_parts(directory: AnyPath, name: str) -> Iterator[AnyPath]:
  """The paths of the folders that lead to a file, and its own path."""
  path = directory
  for part in name.split("/"):
    path /= part
    yield path


def _damaged(directory: AnyPath, reason: str) -> errors.CheckpointError:
  return errors.CheckpointError(f"checkpoint {directory} is unusable: {reason}")


def _encode(body: Any) -> bytes:
  text = json.dumps(body, sort_keys=True, allow_nan=False)
  digest = hashlib.sha256(text.encode()).hexdigest()
  whole = {"body": body, "sha256": digest}
  return json.dumps(whole, sort_keys=True, indent=1).encode()


def _files(
  directory: AnyPath | os.PathLike | str, prefix: str = ""
) -> Iterator[str]:
  """Names relative to the directory of all files in it."""
  if isinstance(directory, storage.BucketPath):
    yield from directory.files()
    return
  with os.scandir(directory) as entries:
    for entry in entries:
      name = prefix + entry.name
      if entry.is_dir(follow_symlinks=False):
        yield from _files(entry.path, f"{name}/")
      elif entry.is_file(follow_symlinks=False):
        yield name


def _digests(
  directory: AnyPath, names: list[str], *, durable: bool
) -> dict[str, list[Any]]:
  """[size in bytes, SHA-256] of each file; `durable` also puts it on disk."""

  def digest_file(name: str) -> list[Any]:
    with (directory / name).open("rb") as f:
      digest = hashlib.file_digest(f, "sha256").hexdigest()
      if durable and not remote:
        files_lib.sync(f.fileno())
      return [f.seek(0, os.SEEK_END), digest]

  remote = isinstance(directory, storage.BucketPath)
  with futures.ThreadPoolExecutor(_OBJECTS if remote else None) as pool:
    return dict(zip(names, pool.map(digest_file, names), strict=True))


def model_paths(step: AnyPath) -> dict[str, str]:
  """Where the model's variables are in a saved state, by their collection.

  As the run's objective says (`tasks.base.Task.model_paths`); runs of older
  versions use the averaged parameters, if they kept averages.
  """
  content = read(step)
  if "model" in content["meta"]:
    return {str(k): str(v) for k, v in content["meta"]["model"].items()}
  names = [name.split("/") for name in content["arrays"]]
  groups = {name[0] for name in names}
  others = {name[1] for name in names if name[0] == "task_state"}
  return {
    "params": "ema" if "ema" in groups else "params",
    **{name: f"task_state/{name}" for name in others},
  }
