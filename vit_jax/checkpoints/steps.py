"""The step directories of a run: lists, verifies, sets aside and removes them.

    checkpoints/
      200/             state/ (Orbax), manifest.json (hashes, arrays, meta)
      300/
      damaged/250-1/   what was found unfinished or damaged; never deleted

Other names, and links to other steps of the same run, are left alone. A step
may be a link to a folder elsewhere; only the link is ever removed. Nothing can
be renamed in a bucket: damaged steps are copied, and unfinished or old ones are
removed, the manifest first.
"""

from collections.abc import Callable
import logging
import os
import re
import shutil

from vit_jax.checkpoints import manifest
from vit_jax.core import errors, storage
from vit_jax.core.storage import AnyPath

DAMAGED = "damaged"
_STEP = re.compile(r"0|[1-9]\d*")
_UNFINISHED = re.compile(r"\d+\.orbax-checkpoint-tmp.*")
_OBSOLETE = re.compile(r"\d+\.obsolete")
_log = logging.getLogger(__name__)


def all_steps(directory: AnyPath) -> list[int]:
  """The numbers of the step directories, ascending."""
  if not directory.is_dir():
    return []
  return sorted(
    int(name) for name in _folders(directory) if _STEP.fullmatch(name)
  )


def _folders(directory: AnyPath) -> set[str]:
  if isinstance(directory, storage.BucketPath):
    return {name.partition("/")[0] for name in directory.files() if "/" in name}
  here = os.path.realpath(directory)
  with os.scandir(directory) as entries:
    return {
      e.name
      for e in entries
      if e.is_dir()
      and not (
        e.is_symlink() and os.path.dirname(os.path.realpath(e.path)) == here
      )
    }


def finished(directory: AnyPath) -> list[int]:
  """The steps that have a manifest, ascending; nothing is verified."""
  return [
    step
    for step in all_steps(directory)
    if (directory / str(step) / manifest.FILE).exists()
  ]


def verify(path: AnyPath) -> None:
  """Verifies the files of a step, and that its manifest is of that step."""
  step = manifest.verify(path)["step"]
  if str(step) != path.name:
    raise errors.CheckpointError(
      f"checkpoint {path} is unusable: its manifest is of step {step}"
    )


def newest_good(
  directory: AnyPath, on_damaged: Callable[[AnyPath, str], None]
) -> int | None:
  """The newest step that verifies; `on_damaged` is called for newer ones."""
  for step in reversed(all_steps(directory)):
    path = directory / str(step)
    try:
      verify(path)
      return step
    except errors.CheckpointError as e:
      on_damaged(path, str(e))
  return None


def find(path: AnyPath) -> AnyPath:
  """A step directory, or the newest good one in a directory of them.

  It is verified, and nothing is changed.

  Raises:
    CheckpointError: there is none, or the given step is damaged.
  """
  if (path / manifest.FILE).exists():
    manifest.verify(path)
    return path
  step = newest_good(path, lambda _, why: _log.warning("%s; skipped", why))
  if step is None:
    raise errors.CheckpointError(
      f"{path} is not a checkpoint (it has no {manifest.FILE}) and not a"
      " directory of good ones (such as WORKDIR/checkpoints)"
    )
  return path / str(step)


def set_aside(path: AnyPath, reason: str) -> None:
  """Moves a step's directory to the first free `damaged/STEP-N`."""
  if (
    isinstance(path, storage.BucketPath) and not (path / manifest.FILE).exists()
  ):
    # It can never be read, and to move it would be to copy all of it.
    _remove(path)
    _log.warning("%s: %s; removed", path, reason)
    return
  damaged = path.parent / DAMAGED
  damaged.mkdir(exist_ok=True)
  step, n = path.name.partition(".")[0], 1
  while exists(damaged / f"{step}-{n}"):
    n += 1
  if path.is_symlink():
    # A relative one would lead elsewhere from there.
    os.symlink(os.path.realpath(path), damaged / f"{step}-{n}")
    path.unlink()
  else:
    path.rename(damaged / f"{step}-{n}")
  _log.warning("%s: %s; moved to %s/%s-%d", path, reason, DAMAGED, step, n)


def exists(path: AnyPath) -> bool:
  """Whether there is anything, even a link that leads nowhere."""
  return path.is_symlink() or path.exists()


def _remove(path: AnyPath) -> None:
  if not isinstance(path, storage.BucketPath):
    # A half-removed directory must not look like a damaged checkpoint.
    if path.is_symlink():
      path.unlink()
      return
    obsolete = path.with_name(f"{path.name}.obsolete")
    path.rename(obsolete)
    shutil.rmtree(obsolete)
    return
  (path / manifest.FILE).unlink()
  path.rmtree()


def tidy(directory: AnyPath) -> None:
  """Sets unfinished saves aside and completes interrupted removals."""
  for path in sorted(directory.iterdir()):
    if not path.is_dir():
      continue
    if _OBSOLETE.fullmatch(path.name) and not path.is_symlink():
      shutil.rmtree(path)
    elif _UNFINISHED.fullmatch(path.name):
      set_aside(path, "an unfinished save")
  for step in set(all_steps(directory)) - set(finished(directory)):
    set_aside(directory / str(step), f"no {manifest.FILE}: an unfinished save")


def remove_old(directory: AnyPath, newest: int, keep: int) -> None:
  """Removes all but `newest` and the keep - 1 highest other steps."""
  others = [step for step in finished(directory) if step != newest]
  for step in others[: max(0, len(others) - keep + 1)]:
    _remove(directory / str(step))
