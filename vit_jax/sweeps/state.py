"""Where each run of a sweep stands, told from its files alone.

A run's folder is `runs/NAME`: the workdir of its training. A sweep that runs it
keeps its output there in `log.txt`, holds `.sweep` locked meanwhile, and writes
`end.json` once it has ended by itself. Of a run that something else has started
the last checkpoint tells the end.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
from typing import Any, Literal

from vit_jax.checkpoints import steps
from vit_jax.core import config as config_lib, duration, errors, files
from vit_jax.data import base as sources
from vit_jax.sweeps import sweep as sweep_lib

State = Literal["waiting", "interrupted", "running", "done", "failed"]
_PROGRESS = re.compile(rb"step ([\d,]+)/([\d,]+)")


@dataclasses.dataclass(frozen=True)
class Status:
  """One run.

  Attributes:
    state: "waiting" has not begun, "interrupted" goes on when it is run again.
    progress: "step/steps" as it was last logged, or "".
    error: the last line of a run that failed.
    scores: "EVALUATOR/SCORE" of the last evaluations of one that is done.
  """

  state: State
  progress: str = ""
  error: str = ""
  scores: dict[str, float] = dataclasses.field(default_factory=dict)


Found = list[tuple[sweep_lib.Run, Status]]


def folder(workdir: str, run: sweep_lib.Run) -> pathlib.Path:
  """The folder of a run."""
  return pathlib.Path(workdir) / sweep_lib.RUNS / run.name


def of(workdir: str, run: sweep_lib.Run) -> Status:
  """Where a run stands."""
  home = folder(workdir, run)
  ended: dict[str, Any] = {"exit_code": 0}
  try:
    ended = json.loads((home / "end.json").read_text())
  except FileNotFoundError:
    for earlier in run.before.values():
      if of(workdir, earlier).state == "failed":
        return Status("failed", error=f"{earlier.name}, before it, failed")
    if not home.exists():
      return Status("waiting")
    if _is_held(home / ".sweep"):
      return Status("running", progress=_progress(home / "log.txt"))
    if not _is_at_end(home, run.config):
      return Status("interrupted", progress=_progress(home / "log.txt"))
  if ended["exit_code"]:
    return Status("failed", error=ended["error"])
  return Status("done", scores=_scores(home / "evals.jsonl"))


def all_of(
  sweep: sweep_lib.Sweep, runs: list[sweep_lib.Run], workdir: str
) -> Found:
  """Every run that is known by now, and where it stands.

  Args:
    sweep: what it says of final runs.
    runs: those that are known from the beginning.
    workdir: where they are.
  """
  first = [(run, of(workdir, run)) for run in runs]
  if not sweep.final:
    return first
  scores = {
    run.name: status.scores.get(sweep.metric)
    for run, status in first
    if status.state in ("done", "failed")
  }
  for run, status in first:
    scored = run.stage != "first" or sweep.metric in status.scores
    if status.state == "done" and not scored:
      raise errors.ConfigError(
        f"metric={sweep.metric} is no score of run {run.name}"
        f" (there are: {', '.join(status.scores)})"
      )
  later = sweep_lib.finals(sweep, runs, scores)
  return [*first, *((run, of(workdir, run)) for run in later)]


def to_begin(
  sweep: sweep_lib.Sweep, runs: list[sweep_lib.Run], workdir: str
) -> list[sweep_lib.Run]:
  """The runs that wait for nothing but somebody who runs them."""
  return [
    run
    for run, status in all_of(sweep, runs, workdir)
    if status.state in ("waiting", "interrupted")
    and all(of(workdir, r).state == "done" for r in run.before.values())
  ]


def strangers(workdir: str, known: list[sweep_lib.Run]) -> list[str]:
  """Folders of runs that the sweep's config does not have: an earlier form."""
  home = pathlib.Path(workdir) / sweep_lib.RUNS
  names = {run.name for run in known}
  found = home.iterdir() if home.exists() else ()
  return sorted(path.name for path in found if path.name not in names)


@contextlib.contextmanager
def hold(home: pathlib.Path) -> Iterator[int | None]:
  """Holds a run's folder; gives a file to hand on, or None if it is held."""
  with files.locked(home / ".sweep") as lock:
    yield lock


def _is_held(lock: pathlib.Path) -> bool:
  """Asks the kernel's table: to try the lock would stand in another's way."""
  try:
    inode = lock.stat().st_ino
  except FileNotFoundError:
    return False
  held = pathlib.Path("/proc/locks").read_text().splitlines()
  return any(line.split()[5].endswith(f":{inode}") for line in held)


def _is_at_end(home: pathlib.Path, config: config_lib.ConfigDict) -> bool:
  """Whether the last step is saved; the end of a run no sweep waited for."""
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


def write_end(home: pathlib.Path, exit_code: int, error: str) -> None:
  """Notes how a run ended; it is there whole or not at all."""
  end = {"exit_code": exit_code, "error": error}
  files.write(home / "end.json", json.dumps(end) + "\n")


def last_line(log: pathlib.Path) -> str:
  """The last line of a log that says something."""
  lines = _tail(log).decode(errors="replace").split("\n")
  return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _progress(log: pathlib.Path) -> str:
  found = _PROGRESS.findall(_tail(log))
  return b"/".join(found[-1]).decode() if found else ""


def _tail(file: pathlib.Path, size: int = 4096) -> bytes:
  try:
    with file.open("rb") as f:
      f.seek(0, os.SEEK_END)
      f.seek(max(0, f.tell() - size))
      return f.read()
  except FileNotFoundError:
    return b""


def _scores(file: pathlib.Path) -> dict[str, float]:
  """The last row of each evaluator; what the config runs none of has none."""
  if not file.exists():
    return {}
  rows: list[dict[str, Any]] = [
    json.loads(line) for line in file.read_text().splitlines()
  ]
  last = {row["name"]: row for row in rows}
  return {
    f"{name}/{key}": value
    for name, row in last.items()
    for key, value in row.items()
    if key not in ("step", "name") and isinstance(value, int | float)
  }
