"""Tells what a folder or a file belongs to, before a command writes there."""

from collections.abc import Callable
import stat

from vit_jax.core import errors, storage
from vit_jax.core.storage import AnyPath

RUN = "a run"
SWEEP = "a sweep"
DATA_SET = "a data set"
STEP = "a checkpoint of a run"
# Enough for the whole of a config.json with 21,000 class names.
_HEAD_BYTES = 16 << 20


def owner(folder: AnyPath) -> str:
  """What a folder belongs to: one of the constants above, or ""."""
  if theirs := _closed(folder):
    return theirs
  if (folder / "checkpoints").exists() or all(
    (folder / name).exists() for name in ("config.json", "metrics.jsonl")
  ):
    return RUN
  if not isinstance(folder, storage.BucketPath) and any(
    folder.glob("runs/*/.sweep")
  ):
    return SWEEP
  return ""


def _closed(folder: AnyPath) -> str:
  """The owner of a folder to which nothing may be added; else ""."""
  if (folder / "dataset_info.json").exists():
    return DATA_SET
  steps = folder.glob("*") if folder.name == "checkpoints" else ()
  if any((step / "manifest.json").exists() for step in (folder, *steps)):
    return STEP
  return ""


def check_folder(flag: str, folder: AnyPath, but: str = "") -> None:
  """Refuses to write into a folder that something else has made.

  Args:
    flag: the command's flag that names it, for the error.
    folder: need not exist.
    but: the owner whose folder is allowed.

  Raises:
    ConfigError: it belongs to something else, or lies in a data set or among
      the checkpoints of a run.
  """
  theirs = owner(folder)
  if theirs and theirs != but:
    raise errors.ConfigError(
      f"{flag}={folder} is {theirs}, whose files are not to be replaced or"
      " mixed with others; name another folder"
    )
  _check_above(flag, folder)


def _check_above(flag: str, place: AnyPath) -> None:
  for above in place.absolute().parents:
    if isinstance(above, storage.BucketPath) and not above.in_bucket:
      break
    if theirs := _closed(above):
      raise errors.ConfigError(
        f"{flag}={place} is inside {above}, which is {theirs}, whose files are"
        " not to be mixed with others; name another place"
      )


def check_file(
  flag: str, file: AnyPath, is_ours: Callable[[bytes], bool], what: str
) -> None:
  """Refuses to replace a file of another kind than the one to be written.

  Args:
    flag: the command's flag that names it, for the error.
    file: need not exist; terminals, pipes and empty files are nobody's.
    is_ours: whether a file that begins with these bytes may be replaced.
    what: what it should be, such as "a report".

  Raises:
    ConfigError: there is another file, or it lies in a data set or in a
      checkpoint.
  """
  if isinstance(file, storage.BucketPath):
    head = (file.read()[0] or b"")[:_HEAD_BYTES]
  elif file.exists() and stat.S_ISREG(file.stat().st_mode):
    with file.open("rb") as f:
      head = f.read(_HEAD_BYTES)
  else:
    head = b""
  if head and not is_ours(head):
    raise errors.ConfigError(
      f"{flag}={file} exists and is not {what}; remove it or name another file"
    )
  _check_above(flag, file)
