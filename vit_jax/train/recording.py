"""What a run records: metric rows, scores, TensorBoard points and progress."""

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import json
import math
import os
import pathlib
import socket
import time
from typing import Any, TypeAlias

import jax
import numpy as np
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.scalar import summary_v2
from tensorboard.summary.writer import record_writer

from vit_jax.cluster import processes
from vit_jax.core import errors, files

# Scalars of the step, and pairs (sum, count) of its objective.
Metrics: TypeAlias = Mapping[str, Any]
# Protobuf makes the messages at import, where no type checker sees them.
_messages: Any = event_pb2


class Recording:
  """Everything that a run records beside its checkpoints.

  That is metrics.jsonl with a row for each step, evals.jsonl with a row for
  each evaluation, TensorBoard events and progress lines. Every process calls
  the same methods; process 0 writes.

  The metrics of a step are fetched after the next step was dispatched, so that
  the device never waits for Python.

  Args:
    workdir: the folder of the files.
    start: the step that training resumes from; rows of later steps are cut.
    total: steps of the whole run.
    log_every: steps between progress lines and TensorBoard points.
    batch_size: images a step.
    last_good: describes the checkpoint to go back to, for the error.
    first: the step that the run itself began at, where it continues another.

  Attributes:
    scores: rows of evaluations at `start` or later, by (step, name).
    paused: a context; what happens in it does not count as training time.

  Raises:
    StorageError: the files cannot be read or written; so do all methods.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    start: int,
    total: int,
    *,
    log_every: int,
    batch_size: int,
    last_good: Callable[[], str],
    first: int = 0,
  ):
    self._last_good = last_good
    self._first = first
    self._pending: tuple[int, Metrics, Any] | None = None
    self._files = contextlib.ExitStack()
    rows = processes.on_first(lambda: self._open(workdir, start))
    self.scores = {(row["step"], row["name"]): row for row in rows}
    self._progress = Progress(start, total, log_every, batch_size)
    self.paused = self._progress.paused

  def _open(self, workdir: pathlib.Path, start: int) -> list[dict[str, Any]]:
    """Opens the files; returns the rows of the evaluations at `start`."""
    with contextlib.ExitStack() as opened:

      def journal(name: str, *keys: str) -> Journal:
        made = Journal(workdir / name, start, keys)
        opened.callback(made.close)
        return made

      self._rows = journal("metrics.jsonl")
      self._scores = journal("evals.jsonl", "name")
      _warn(self._rows, self._scores, start - self._first)
      self._tensorboard = TensorBoard(workdir, start)
      opened.callback(self._tensorboard.close)
      self._files = opened.pop_all()
    return [row for row in self._scores.rows if row["step"] == start]

  def push(self, step: int, metrics: Metrics, ids: Any) -> None:
    """Takes the metrics of `step`, just dispatched, and records those before.

    Args:
      step: number of steps done.
      metrics: each becomes a field of the step's row.
      ids: ids of the examples in this process's part of the batch.

    Raises:
      NonFiniteError: a metric of the step before is not a finite number.
    """
    pending, self._pending = self._pending, (step, metrics, ids)
    if pending is not None:
      self._record(*pending)

  def flush(self) -> None:
    """Waits for the last step and records its metrics."""
    pending, self._pending = self._pending, None
    if pending is not None:
      self._record(*pending)

  def _record(self, step: int, metrics: Metrics, ids: Any) -> None:
    values = fetch(metrics)
    bad = [f"{k}={v}" for k, v in values.items() if not math.isfinite(v)]
    if bad:
      # Later steps are not finite either.
      self._pending = None
      # Of the global batch, from every process's part; each once.
      examples = list(dict.fromkeys(processes.gather(np.asarray(ids)).tolist()))
      raise errors.NonFiniteError(
        f"step {step}: {', '.join(bad)} is not finite; {self._last_good()};"
        f" examples of the batch: {examples}"
      )
    row = {"step": step, **values}
    own = [k for k in values if isinstance(metrics[k], tuple)]
    due = self._progress(row, own)
    time_s = round(self._progress.seconds(), 4)
    if processes.is_first():
      self._rows.write({**row, "time_s": time_s})
      if due:
        values["images_per_s"] = self._progress.images_per_s
        self._tensorboard.write(step, "train", values)

  def write_scores(
    self, step: int, name: str, scores: Mapping[str, float]
  ) -> None:
    """Records and prints the scores of an evaluator."""
    row = self.scores[step, name] = {"step": step, "name": name, **scores}
    if processes.is_first():
      self._scores.write(row)
      self._tensorboard.write(step, name, scores)
    processes.say(f"step {step:,}  {name}: {scores_text(scores)}")

  def sync(self) -> None:
    """Puts the rows on the disk: they survive the death of the machine."""
    processes.on_first(lambda: (self._rows.sync(), self._scores.sync()))

  def close(self) -> None:
    self._files.close()


def fetch(metrics: Metrics) -> dict[str, float]:
  """The values of metrics on the host; the only place that waits for them.

  Of a pair (sum, count) it is the mean; what counted nothing is left out.
  """
  row = {}
  for name, value in jax.device_get(metrics).items():
    if not isinstance(value, tuple):
      row[name] = float(value)
    elif value[1]:
      row[name] = float(value[0]) / float(value[1])
  return row


class Journal:
  """A JSON-lines file whose rows are ordered by their "step".

  Opening it at a step cuts the rows of later steps, and what cannot be read,
  so that a resumed run writes what it would have written. What is cut is first
  added to a file beside it, NAME.cut.jsonl.

  Args:
    path: the file.
    step: rows up to this step are kept.
    keys: what every row has beside its step.

  Attributes:
    rows: those that were kept.
    unreadable: the number of lines, not counting the last one, that are no
      rows.
  """

  def __init__(self, path: pathlib.Path, step: int, keys: tuple[str, ...] = ()):
    self.path = path
    self.cut_path = path.with_suffix(f".cut{path.suffix}")
    self.rows: list[dict[str, Any]] = []
    self.unreadable = 0
    kept: list[bytes] = []
    cut: list[bytes] = []
    with writing(path):
      lines = _regular(path).splitlines(keepends=True)
      for i, line in enumerate(lines):
        row = _row(line, keys)
        before = self.rows[-1]["step"] if self.rows else 0
        if row is not None and before <= row["step"] <= step:
          self.rows.append(row)
          kept.append(line)
        else:
          cut.append(line)
          self.unreadable += row is None and i < len(lines) - 1
      if cut:
        self._cut(b"".join(cut), b"".join(kept))
      self._file = path.open("ab")

  def _cut(self, cut: bytes, kept: bytes) -> None:
    with self.cut_path.open("ab") as f:
      f.write(cut if cut.endswith(b"\n") else cut + b"\n")
      f.flush()
      files.sync(f.fileno())
    files.write(self.path, kept)

  def write(self, row: Mapping[str, Any]) -> None:
    """Appends a row; it survives the death of the process."""
    with writing(self.path):
      self._file.write(json.dumps(row).encode() + b"\n")
      self._file.flush()

  def sync(self) -> None:
    """Puts the rows on the disk: they survive the death of the machine."""
    with writing(self.path):
      files.sync(self._file.fileno())

  def close(self) -> None:
    with writing(self.path):
      self._file.close()


@contextlib.contextmanager
def writing(path: Any) -> Iterator[None]:
  """Turns a failed write below `path` into one clear line."""
  try:
    yield
  except OSError as e:
    raise errors.StorageError(
      f"cannot write {path}: {e.strerror or e}; free space or repair it, then"
      " run the same command again: it resumes from the last good checkpoint"
    ) from e


def _regular(path: pathlib.Path) -> bytes:
  """The content of a file, empty if there is none."""
  if not path.exists():
    return b""
  if not path.is_file():
    raise OSError("it is not a regular file")
  return path.read_bytes()


def _row(line: bytes, keys: tuple[str, ...]) -> dict[str, Any] | None:
  if not line.endswith(b"\n"):
    return None
  try:
    row = json.loads(line)
  except ValueError:
    return None
  if not isinstance(row, dict) or not isinstance(row.get("step"), int):
    return None
  return row if set(keys) <= set(row) else None


def _warn(rows: Journal, scores: Journal, steps: int) -> None:
  """Says what the journals do not hold of so many steps of this run."""
  for journal in (rows, scores):
    if journal.unreadable:
      processes.say(
        f"{journal.path}: {journal.unreadable} lines cannot be read; they are"
        f" kept in {journal.cut_path.name}"
      )
  have = len({row["step"] for row in rows.rows})
  if have < steps:
    processes.say(
      f"{rows.path} has rows of {have} of the {steps} steps of this checkpoint;"
      " the others were lost before this start"
    )


def count_rows(path: pathlib.Path) -> int:
  """The number of lines of a journal."""
  with writing(path):
    return _regular(path).count(b"\n")


class TensorBoard:
  """Scalars in an event file, written without importing TensorFlow.

  Each start of a run has a file of its own.

  Args:
    workdir: the folder the file goes to.
    start: TensorBoard drops the points of later steps in older files.
  """

  def __init__(self, workdir: pathlib.Path, start: int):
    # TensorBoard reads the files of a folder in the order of their names.
    name = f"{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
    self._path = workdir / f"events.out.tfevents.{name}"
    with writing(self._path):
      self._file = record_writer.RecordWriter(self._path.open("xb"))
    self._write(_messages.Event(file_version="brain.Event:2"))
    begins = _messages.SessionLog(status=_messages.SessionLog.START)
    self._write(_messages.Event(step=start + 1, session_log=begins))

  def write(self, step: int, group: str, scalars: Mapping[str, float]) -> None:
    """Adds a point to the curve "GROUP/NAME" of each scalar."""
    event = _messages.Event(step=step)
    for name, value in scalars.items():
      event.summary.MergeFrom(summary_v2.scalar_pb(f"{group}/{name}", value))
    self._write(event)

  def _write(self, event: Any) -> None:
    event.wall_time = time.time()
    with writing(self._path):
      self._file.write(event.SerializeToString())
      self._file.flush()

  def close(self) -> None:
    with writing(self._path):
      self._file.close()


class Progress:
  """A line with step, loss, images/s and time left every few steps.

  Args:
    start: step at which this process began.
    total: steps of the whole run.
    every: steps between lines.
    batch_size: images a step.

  Attributes:
    images_per_s: rate between the last two lines.
  """

  def __init__(self, start: int, total: int, every: int, batch_size: int):
    self._total = total
    self._every = every
    self._batch_size = batch_size
    # The first step compiles; the rate starts after it.
    self._first = start + 1
    self._last: tuple[int, float] | None = None
    self._began = time.monotonic()
    self._paused_s = 0.0
    self.images_per_s = 0.0

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """What happens inside does not count as training time."""
    start = time.monotonic()
    try:
      yield
    finally:
      self._paused_s += time.monotonic() - start

  def seconds(self) -> float:
    """Training time: wall time without evaluation and saving."""
    return time.monotonic() - self._began - self._paused_s

  def __call__(self, row: Mapping[str, Any], shown: Iterable[str] = ()) -> bool:
    """Notes a row; prints and returns True where a line is due.

    After the loss it prints the metrics whose names are in `shown`.
    """
    step = row["step"]
    if step != self._first and step % self._every and step != self._total:
      return False
    now = self.seconds()
    left = "-"
    if self._last is not None:
      steps, seconds = step - self._last[0], now - self._last[1]
      self.images_per_s = steps * self._batch_size / max(seconds, 1e-9)
      remaining = (self._total - step) * self._batch_size
      left = duration_text(remaining / max(self.images_per_s, 1e-9))
    self._last = (step, now)
    rate = f"{self.images_per_s:,.1f}" if self.images_per_s else "-"
    metrics = "  ".join(f"{name} {row[name]:.4f}" for name in ("loss", *shown))
    processes.say(
      f"step {step:,}/{self._total:,} ({step / self._total:.0%})"
      f"  {metrics}  {rate} images/s  {left} left"
    )
    return True


def duration_text(seconds: float) -> str:
  """Seconds as "1:02:03" or "2:03"."""
  minutes, s = divmod(round(seconds), 60)
  hours, m = divmod(minutes, 60)
  return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def scores_text(scores: Mapping[str, float]) -> str:
  """Scores as "top_1 0.9316  examples 351"."""
  return "  ".join(
    f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4f}"
    for name, value in scores.items()
  )
