"""The files a run writes beside its checkpoints."""

from collections.abc import Mapping
import contextlib
import pathlib
from typing import Any

from vit_jax.cluster import processes
from vit_jax.train import hooks, metrics


class Files:
  """metrics.jsonl, evals.jsonl and TensorBoard events; process 0 writes them.

  Args:
    workdir: where they are.
    step: rows of later steps are dropped.

  Attributes:
    scores: rows of evaluations at `step` or later, by (step, name); the same
      on every process.
  """

  def __init__(self, workdir: pathlib.Path, step: int):
    self._open = contextlib.ExitStack()
    self._writes = processes.is_first()
    rows = processes.on_first(lambda: self._start(workdir, step))
    self.scores = {(row["step"], row["name"]): row for row in rows}

  def _start(self, workdir: pathlib.Path, step: int) -> list[dict[str, Any]]:
    with contextlib.ExitStack() as opened:
      self._rows = metrics.Journal(workdir / "metrics.jsonl", step)
      opened.callback(self._rows.close)
      self._scores = metrics.Journal(workdir / "evals.jsonl", step, ("name",))
      opened.callback(self._scores.close)
      _warn(self._rows, self._scores, step)
      self._tensorboard = hooks.TensorBoard(workdir)
      opened.callback(self._tensorboard.close)
      self._open = opened.pop_all()
    return [row for row in self._scores.rows if row["step"] == step]

  def write(
    self, row: Mapping[str, Any], scalars: Mapping[str, float] | None = None
  ) -> None:
    """Writes the metrics of a step; `scalars` are for TensorBoard."""
    if self._writes:
      self._rows.write(row)
      if scalars is not None:
        self._tensorboard.write(row["step"], scalars)

  def write_scores(self, step: int, name: str, scores: Any) -> None:
    """Writes the scores of an evaluator."""
    row = self.scores[step, name] = {"step": step, "name": name, **scores}
    if self._writes:
      self._scores.write(row)
      self._tensorboard.write(
        step, {f"{name}/{k}": v for k, v in scores.items()}
      )

  def sync(self) -> None:
    """Puts the rows on the disk: they survive the death of the machine."""

    def put() -> None:
      self._rows.sync()
      self._scores.sync()

    processes.on_first(put)

  def close(self) -> None:
    self._open.close()


def _warn(rows: metrics.Journal, scores: metrics.Journal, step: int) -> None:
  """Says what the journals do not hold of the steps before `step`."""
  for journal in (rows, scores):
    if journal.unreadable:
      hooks.say(
        f"{journal.path}: {journal.unreadable} lines cannot be read; they are"
        f" kept in {journal.cut_path.name}"
      )
  have = len({row["step"] for row in rows.rows})
  if have < step:
    hooks.say(
      f"{rows.path} has rows of {have} of the {step} steps of this checkpoint;"
      " the others were lost before this start"
    )
