"""Tables and the plot of a sweep's results."""

import json

import cv2
import pytest

from tests.e2e import run as command
from vit_jax.analysis import plots
from vit_jax.core import errors
from vit_jax.sweeps import collect, grid, state, sweep as lib

SWEEP = lib.Sweep(
  config="tiny.py",
  settings=grid.product(
    grid.axis("optim.peak_lr", (0.001, 0.01)), grid.axis("seed", (0, 1, 2))
  ),
)
SCORES = (0.5, 0.75, 1.0, 0.25, None, 0.25)


@pytest.fixture
def workdir(tmp_path):
  for run, score in zip(lib.runs(SWEEP, command.TINY), SCORES, strict=True):
    home = state.folder(str(tmp_path), run)
    home.mkdir(parents=True)
    if score is None:
      state.write_end(home, 2, "ConfigError: no")
      continue
    rows = [{"step": s, "name": "test", "top_1": score * s} for s in (0.5, 1)]
    (home / "evals.jsonl").write_text("\n".join(map(json.dumps, rows)))
    state.write_end(home, 0, "")
  return tmp_path


def test_tables(workdir):
  runs = lib.runs(SWEEP, command.TINY)
  rows = collect.collect(SWEEP, runs, str(workdir))
  csv = (workdir / "results.csv").read_text().splitlines()
  assert csv[0] == "run,stage,state,optim.peak_lr,seed,test/top_1,error"
  assert csv[1] == f"{runs[0].name},first,done,0.001,0,0.5,"
  assert csv[5] == f"{runs[4].name},first,failed,0.01,1,,ConfigError: no"
  markdown = (workdir / "results.md").read_text()
  assert "5 of 6 runs done, 1 failed." in markdown
  # Deviations of a sample: sqrt((0.25^2 + 0 + 0.25^2) / 2).
  assert "| 0.001 | 0.75 ± 0.25 | 3 |" in markdown
  assert "| 0.01 | 0.25 ± 0 | 2 |" in markdown
  metric = collect.shown_metric(SWEEP, rows)
  x, series = collect.series(rows, metric)
  assert (x, metric) == ("optim.peak_lr", "test/top_1")
  assert series == {"": ([0.001, 0.01], [0.75, 0.25], [0.25, 0.0])}
  plots.errorbars(series, str(workdir / "r.png"), x_label=x, y_label=metric)
  picture = cv2.imread(str(workdir / "r.png"))
  assert picture.shape[0] > 300 and picture.std() > 5


def test_nothing_to_collect(tmp_path):
  with pytest.raises(errors.ConfigError, match="no run is done"):
    collect.collect(SWEEP, lib.runs(SWEEP, command.TINY), str(tmp_path))
