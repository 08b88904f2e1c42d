"""How far each run of a sweep is, by its files alone.

A run's folder is `runs/NAME`: the workdir of its training. Whoever runs it for
a sweep writes its output to `log.txt` there, keeps `.sweep` locked meanwhile,
and writes `end.json` once it has ended by itself. A run that was started in
another way has ended if its last checkpoint is that of the last step.
"""

import dataclasses
import functools
import json
import os
import pathlib
import re
from typing import Any, Literal

from vit_jax.checkpoints import steps
from vit_jax.core import duration, errors, files
from vit_jax.data import base as sources
from vit_jax.sweeps import sweep as sweep_lib

State = Literal["waiting", "interrupted", "running", "done", "failed"]
# The file of a run's folder that is locked while it trains.
LOCK = ".sweep"
_PROGRESS = re.compile(rb"step ([\d,]+)/([\d,]+)")


@dataclasses.dataclass(frozen=True)
class Status:
  """How far a run is.

  Attributes:
    state: "waiting" has not begun, "interrupted" resumes when it is run again.
    progress: "step/steps" of the last line in the log, or "".
    error: the last line of a run that failed.
    scores: "EVALUATOR/SCORE" of the last evaluations of a run that is done.
  """

  state: State
  progress: str = ""
  error: str = ""
  scores: dict[str, float] = dataclasses.field(default_factory=dict)

  @property
  def ended(self) -> bool:
    """Whether nothing is left to run."""
    return self.state in ("done", "failed")


Statuses = list[tuple[sweep_lib.Run, Status]]


def folder(workdir: str, run: sweep_lib.Run) -> pathlib.Path:
  """The folder of a run."""
  return pathlib.Path(workdir) / sweep_lib.RUNS / run.name


def status(workdir: str, run: sweep_lib.Run) -> Status:
  """How far a run is."""
  home = folder(workdir, run)
  end: dict[str, Any] = {"exit_code": 0}
  try:
    end = json.loads((home / "end.json").read_text())
  except FileNotFoundError:
    for earlier in run.before.values():
      if status(workdir, earlier).state == "failed":
        return Status(
          "failed", error=f"run {earlier.name}, which it starts from, failed"
        )
    if not home.exists():
      return Status("waiting")
    if _is_held(home / LOCK):
      return Status("running", progress=_progress(home / "log.txt"))
    if not _is_at_end(home, run.config):
      return Status("interrupted", progress=_progress(home / "log.txt"))
  if end["exit_code"]:
    return Status("failed", error=end["error"])
  return Status("done", scores=_scores(home / "evals.jsonl"))


def statuses(sweep: sweep_lib.Sweep, workdir: str) -> Statuses:
  """Every run that is known by now, and how far it is.

  Raises:
    ConfigError: a run that is done lacks the score that selects.
  """
  first = [(run, status(workdir, run)) for run in sweep.runs]
  if not sweep.final:
    return first
  for run, known in first:
    selects = run.stage == "first" and known.state == "done"
    if selects and sweep.metric not in known.scores:
      raise errors.ConfigError(
        f"metric={sweep.metric} is not a score of run {run.name}"
        f" (its scores: {', '.join(known.scores)})"
      )
  scores = {
    run.name: known.scores.get(sweep.metric)
    for run, known in first
    if known.ended
  }
  later = sweep.finals(scores)
  return [*first, *((run, status(workdir, run)) for run in later)]


def ready(sweep: sweep_lib.Sweep, workdir: str) -> list[sweep_lib.Run]:
  """The runs that can begin or resume now; those before them are done."""
  return [
    run
    for run, known in statuses(sweep, workdir)
    if known.state in ("waiting", "interrupted")
    and all(status(workdir, r).state == "done" for r in run.before.values())
  ]


def unknown_folders(workdir: str, known: Statuses) -> list[str]:
  """Folders of runs that the sweep does not have, or no longer has."""
  home = pathlib.Path(workdir) / sweep_lib.RUNS
  names = {run.name for run, _ in known}
  folders = home.iterdir() if home.exists() else ()
  return sorted(path.name for path in folders if path.name not in names)


def _is_held(lock: pathlib.Path) -> bool:
  """Whether a process holds the lock, by the kernel's table of locks.

  Trying to take the lock could keep another process from taking it.
  """
  try:
    inode = lock.stat().st_ino
  except FileNotFoundError:
    return False
  held = pathlib.Path("/proc/locks").read_text().splitlines()
  return any(line.split()[5].endswith(f":{inode}") for line in held)


def _is_at_end(home: pathlib.Path, config: Any) -> bool:
  """Whether the checkpoint of the last step is there."""
  saved = steps.finished(home / "checkpoints")
  if not saved:
    return False
  data = config.data
  total = duration.Duration.parse(config.duration).steps(
    batch_size=data.batch_size,
    epoch_examples=_examples(
      data.train.name, data.train.split, config.runtime.data_dir
    ),
    total=0,
  )
  return saved[-1] == total


@functools.cache
def _examples(name: str, split: str, data_dir: str) -> int:
  return len(sources.open_source(name, split, data_dir))


def write_end(home: pathlib.Path, exit_code: int) -> str:
  """Writes how a run has ended; returns its error, the last line of its log."""
  lines = _tail(home / "log.txt").decode(errors="replace").split("\n")
  texts = [line.strip() for line in lines if line.strip()]
  error = texts[-1] if exit_code and texts else ""
  end = {"exit_code": exit_code, "error": error}
  files.write(home / "end.json", json.dumps(end) + "\n")
  return error


def _progress(log: pathlib.Path) -> str:
  lines = _PROGRESS.findall(_tail(log))
  return b"/".join(lines[-1]).decode() if lines else ""


def _tail(file: pathlib.Path, size: int = 4096) -> bytes:
  try:
    with file.open("rb") as f:
      f.seek(0, os.SEEK_END)
      f.seek(max(0, f.tell() - size))
      return f.read()
  except FileNotFoundError:
    return b""


def _scores(file: pathlib.Path) -> dict[str, float]:
  """ "EVALUATOR/SCORE" of the last row of each evaluator in a file."""
  last = {row["name"]: row for row in files.read_rows(file)}
  return {
    f"{name}/{key}": value
    for name, row in last.items()
    for key, value in row.items()
    if key not in ("step", "name") and isinstance(value, int | float)
  }
