"""Tables and the plot of a sweep's results."""

import json

import cv2
import pytest

from tests.e2e import run as command
from vit_jax.analysis import plots
from vit_jax.core import errors
from vit_jax.data.sources import vtab
from vit_jax.sweeps import collect, grid, state, sweep as lib

SWEEP = lib.Sweep(
  config=command.TINY,
  settings=grid.product(
    grid.axis("optim.peak_lr", (0.001, 0.01)), grid.axis("seed", (0, 1, 2))
  ),
)
SCORES = (0.5, 0.75, 1.0, 0.25, None, 0.25)


@pytest.fixture
def workdir(tmp_path):
  for run, score in zip(SWEEP.runs, SCORES, strict=True):
    home = state.folder(str(tmp_path), run)
    home.mkdir(parents=True)
    if score is None:
      (home / "log.txt").write_text("step 1/2\nConfigError: no\n\n")
      state.write_end(home, 2)
      continue
    rows = [{"step": s, "name": "test", "top_1": score * s} for s in (0.5, 1)]
    (home / "evals.jsonl").write_text("\n".join(map(json.dumps, rows)))
    state.write_end(home, 0)
  return tmp_path


def test_tables(workdir):
  runs = SWEEP.runs
  rows = collect.collect(SWEEP, str(workdir))
  csv = (workdir / "results.csv").read_text().splitlines()
  assert csv[0] == "run,stage,state,optim.peak_lr,seed,test/top_1,error"
  assert csv[1] == f"{runs[0].name},first,done,0.001,0,0.5,"
  assert csv[5] == f"{runs[4].name},first,failed,0.01,1,,ConfigError: no"
  markdown = (workdir / "results.md").read_text()
  assert "5 of 6 runs done, 1 failed." in markdown
  # Deviations of a sample: sqrt((0.25^2 + 0 + 0.25^2) / 2).
  assert "| 0.001 | 0.75 ± 0.25 | 3 |" in markdown
  assert "| 0.01 | 0.25 ± 0 | 2 |" in markdown
  metric = collect.plotted_metric(SWEEP, rows)
  x, series = collect.series(rows, metric)
  assert (x, metric) == ("optim.peak_lr", "test/top_1")
  assert series == {"": ([0.001, 0.01], [0.75, 0.25], [0.25, 0.0])}
  plots.errorbars(series, str(workdir / "r.png"), x_label=x, y_label=metric)
  picture = cv2.imread(str(workdir / "r.png"))
  assert picture.shape[0] > 300 and picture.std() > 5


def test_what_is_drawn_of_a_sweep_that_selects():
  start = lib.Trained("other", "tiny.py", {})
  rows = [collect.Row("start", {"lr": 0.5}, {"val/top_1": [0.9]})]
  for checkpoint, best in ((start, 0.2), ("", 0.1)):
    for rate in (0.1, 0.2):
      setting = {"a.checkpoint": checkpoint, ":kind": "x", "lr": rate}
      rows.append(collect.Row("first", setting, {"val/top_1": [rate]}))
    setting = {"a.checkpoint": checkpoint, ":kind": "y", "lr": best}
    scores = {"test/loss": [1.0, 1.0], "test/top_1": [0.5, 0.7]}
    rows.append(collect.Row("final", setting, scores))
  x, found = collect.series(rows, "val/top_1")
  assert x == "lr"
  deviation = pytest.approx([0.02**0.5])
  final = (pytest.approx([0.6]), deviation)
  assert found == {
    "checkpoint=other": ([0.1, 0.2], [0.1, 0.2], [0.0, 0.0]),
    "checkpoint=none": ([0.1, 0.2], [0.1, 0.2], [0.0, 0.0]),
    "checkpoint=other (final, test/top_1)": ([0.2], *final),
    "checkpoint=none (final, test/top_1)": ([0.1], *final),
  }


def test_nothing_to_collect(tmp_path):
  with pytest.raises(errors.ConfigError, match="no run is done"):
    collect.collect(SWEEP, str(tmp_path))


GROUPS = {"natural": 0.9, "specialized": 0.8, "structured": 0.5}


def vtab_rows(stage="final"):
  """Two seeds of each task, the second better by 0.01; rates differ."""
  rows = []
  for i, (name, task) in enumerate(vtab.TASKS.items()):
    setting = {":dataset": f"vtab:{name}", ":res": 8, ":lr": 0.1 * (i + 1)}
    score = GROUPS[task.group]
    scores = {"test/loss": [1.0, 1.0], "test/top_1": [score, score + 0.01]}
    rows.append(collect.Row(stage, setting, scores))
  return rows


TUNED = lib.Sweep(
  config=command.TINY,
  settings=({":lr": 0.1},),
  metric="val/top_1",
  tuned=(":lr",),
  final=({},),
)


def test_group_means_of_vtab():
  other = collect.Row("final", {":dataset": "cifar10", ":res": 8}, {})
  rows, notes = collect.vtab_means(TUNED, [*vtab_rows(), other])
  (row,) = rows
  assert not notes and row.setting == {":res": 8}
  # Of 7, 4 and 8 tasks: (7 x 0.9 + 4 x 0.8 + 8 x 0.5) / 19.
  for name, value in {**GROUPS, "all": 13.5 / 19}.items():
    assert row.scores.pop(f"test/{name}") == pytest.approx(
      [value, value + 0.01]
    )
  assert not row.scores
  # Rates that are still to be chosen from have no mean.
  assert collect.vtab_means(TUNED, vtab_rows("first")) == ([], [])


def test_no_group_means_of_fewer_tasks_or_seeds():
  rows = vtab_rows()
  found, (note,) = collect.vtab_means(TUNED, rows[1:])
  task = rows[0].setting[":dataset"].removeprefix("vtab:")
  assert not found and "means of :res=8 yet" in note and task in note
  rows[3].scores["test/top_1"].pop()
  task = rows[3].setting[":dataset"].removeprefix("vtab:")
  found, (note,) = collect.vtab_means(TUNED, rows)
  assert not found and f"missing: {task};" in note


def test_group_means_are_written(tmp_path):
  """All 19 tasks as runs of one sweep."""
  sweep = lib.Sweep(
    config=command.TINY,
    settings=grid.axis(
      "data.train.name", [f"vtab:{name}" for name in vtab.TASKS]
    ),
  )
  runs = sweep.runs
  for run, task in zip(runs, vtab.TASKS.values(), strict=True):
    home = state.folder(str(tmp_path), run)
    home.mkdir(parents=True)
    row = {"step": 1, "name": "test", "top_1": GROUPS[task.group]}
    (home / "evals.jsonl").write_text(json.dumps(row) + "\n")
    state.write_end(home, 0)
  collect.collect(sweep, str(tmp_path))
  text = (tmp_path / "results.md").read_text()
  head = "| test/natural | test/specialized | test/structured | test/all |"
  assert f"## VTAB-1k\n\n{head} runs |" in text
  assert "| 0.9 | 0.8 | 0.5 | 0.71053 | 1 |" in text
