"""Where numbers go: JSON lines, one row a step, and TensorBoard."""

from collections.abc import Mapping
import contextlib
import json
import math
import os
import pathlib
from typing import Any

import jax
import numpy as np

from vit_jax.cluster import processes
from vit_jax.core import errors, files


@contextlib.contextmanager
def storage(path: Any):
  """Turns a failed write below `path` into one clear line."""
  try:
    yield
  except OSError as e:
    raise errors.StorageError(
      f"cannot write {path}: {e.strerror or e}; free space or repair it, then"
      " run the same command again: it goes on from the last good checkpoint"
    ) from e


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
    with storage(path):
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
      os.fsync(f.fileno())
    files.write(self.path, kept)

  def write(self, row: Mapping[str, Any]) -> None:
    """Appends a row; it survives the death of the process."""
    with storage(self.path):
      self._file.write(json.dumps(row).encode() + b"\n")
      self._file.flush()

  def sync(self) -> None:
    """Puts the rows on the disk: they survive the death of the machine."""
    with storage(self.path):
      os.fsync(self._file.fileno())

  def close(self) -> None:
    with storage(self.path):
      self._file.close()


def _regular(path: pathlib.Path) -> bytes:
  """What a file holds; nothing where there is none."""
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


def count_rows(path: pathlib.Path) -> int:
  """The number of lines of a journal."""
  with storage(path):
    return _regular(path).count(b"\n")


class Recorder:
  """Fetches metrics one step late, so that the device never waits for Python.

  Args:
    write: called with each row: {"step": ..., metric: float, ...}.
    last_good: describes the checkpoint to go back to, for the error.
  """

  def __init__(self, write: Any, last_good: Any):
    self._write = write
    self._last_good = last_good
    self._pending: tuple[int, Any, Any] | None = None

  def push(self, step: int, metrics: Any, ids: Any) -> None:
    """Takes the metrics of `step`, just dispatched; writes those before."""
    pending, self._pending = self._pending, (step, metrics, ids)
    if pending is not None:
      self._record(*pending)

  def flush(self) -> None:
    """Waits for the last step and writes its row."""
    pending, self._pending = self._pending, None
    if pending is not None:
      self._record(*pending)

  def _record(self, step: int, metrics: Any, ids: Any) -> None:
    row = fetch(metrics)
    bad = [name for name, value in row.items() if not math.isfinite(value)]
    if bad:
      # What comes after is poisoned as well.
      self._pending = None
      raise errors.NonFiniteError(
        f"step {step}: {', '.join(f'{n}={row[n]}' for n in bad)} is not finite;"
        f" {self._last_good()}; examples of the batch: {_everyones(ids)}"
      )
    self._write({"step": step, **row})


def _everyones(ids: Any) -> list[int]:
  """The ids of the global batch, each once, from this process's."""
  return list(dict.fromkeys(processes.gather(np.asarray(ids)).tolist()))


def fetch(metrics: Mapping[str, Any]) -> dict[str, float]:
  """The values of metrics on the host; the only place that waits for them.

  Args:
    metrics: scalars, or pairs (sum, count) for their mean. What counted
      nothing has no mean and is left out.
  """
  row = {}
  for name, value in jax.device_get(metrics).items():
    if isinstance(value, tuple):
      total, count = map(float, value)
      if count:
        row[name] = total / count
    else:
      row[name] = float(value)
  return row
