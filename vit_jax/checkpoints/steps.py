"""The step directories of a run: which there are, which are good, what goes.

    checkpoints/
      200/             state/ (Orbax), manifest.json (hashes, arrays, meta)
      300/
      damaged/250-1/   what was found unfinished or damaged; never deleted

Names that are not ours, and links, are left alone.
"""

from collections.abc import Callable
import logging
import os
import pathlib
import re
import shutil

from vit_jax.checkpoints import manifest
from vit_jax.core import errors

DAMAGED = "damaged"
_STEP = re.compile(r"0|[1-9]\d*")
_UNFINISHED = re.compile(r"\d+\.orbax-checkpoint-tmp.*")
_OBSOLETE = re.compile(r"\d+\.obsolete")
_log = logging.getLogger(__name__)


def all_steps(directory: pathlib.Path) -> list[int]:
  """The numbers of the step directories, ascending."""
  if not directory.is_dir():
    return []
  with os.scandir(directory) as entries:
    return sorted(
      int(entry.name)
      for entry in entries
      if _STEP.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
    )


def finished(directory: pathlib.Path) -> list[int]:
  """The steps that have a manifest, ascending; nothing is verified."""
  return [
    step
    for step in all_steps(directory)
    if (directory / str(step) / manifest.FILE).exists()
  ]


def verify(path: pathlib.Path) -> None:
  """`manifest.verify`, and the manifest is of the step in the path's name."""
  step = manifest.verify(path)["step"]
  if str(step) != path.name:
    raise errors.CheckpointError(
      f"checkpoint {path} is unusable: its manifest is of step {step}"
    )


def newest_good(
  directory: pathlib.Path, on_damaged: Callable[[pathlib.Path, str], None]
) -> int | None:
  """The newest step that verifies, after a call for each that does not."""
  for step in reversed(all_steps(directory)):
    path = directory / str(step)
    try:
      verify(path)
      return step
    except errors.CheckpointError as e:
      on_damaged(path, str(e))
  return None


def set_aside(path: pathlib.Path, reason: str) -> None:
  """Moves a step's directory to the first free `damaged/STEP-N`."""
  damaged = path.parent / DAMAGED
  damaged.mkdir(exist_ok=True)
  step, n = path.name.partition(".")[0], 1
  while os.path.lexists(damaged / f"{step}-{n}"):
    n += 1
  path.rename(damaged / f"{step}-{n}")
  _log.warning("%s: %s; moved to %s/%s-%d", path, reason, DAMAGED, step, n)


def tidy(directory: pathlib.Path) -> None:
  """Sets unfinished saves aside; ends removals that were interrupted."""
  for path in sorted(directory.iterdir()):
    if _OBSOLETE.fullmatch(path.name):
      shutil.rmtree(path)
    elif _UNFINISHED.fullmatch(path.name):
      set_aside(path, "an unfinished save")
  for step in set(all_steps(directory)) - set(finished(directory)):
    set_aside(directory / str(step), f"no {manifest.FILE}: an unfinished save")


def remove_old(directory: pathlib.Path, newest: int, keep: int) -> None:
  """Removes all but `newest` and the keep - 1 highest other steps."""
  others = [step for step in finished(directory) if step != newest]
  for step in others[: max(0, len(others) - keep + 1)]:
    # A half-removed directory must not look like a damaged checkpoint.
    obsolete = directory / f"{step}.obsolete"
    (directory / str(step)).rename(obsolete)
    shutil.rmtree(obsolete)
