"""How far each run of a sweep is, by its files alone."""

import json

import pytest

from tests.e2e import run as command
from tests.sweeps import digits
from vit_jax.core import errors, files
from vit_jax.sweeps import state, sweep as sweep_lib


def test_a_score_that_is_not_there(tmp_path):
  sweep = digits.sweep(metric="test/top_7")
  runs = sweep.runs
  home = state.folder(str(tmp_path), runs[0])
  home.mkdir(parents=True)
  (home / "evals.jsonl").write_text(
    '{"step": 1, "name": "test", "top_1": 0.5}\n'
  )
  state.write_end(home, 0)
  with pytest.raises(errors.ConfigError, match=r"\(its scores: test/top_1\)"):
    state.statuses(sweep, str(tmp_path))


@pytest.fixture
def run():
  return sweep_lib.make(command.TINY, {"optim.peak_lr": 0.1})


def test_the_states_of_a_run(run, tmp_path):
  place, home = str(tmp_path), state.folder(str(tmp_path), run)
  assert state.status(place, run) == state.Status("waiting")
  home.mkdir(parents=True)
  log = home / "log.txt"
  log.write_text("step 10/1,200 (1%)\nstep 20/1,200 (2%)\nsaved\n")
  broken_off = state.Status("interrupted", progress="20/1,200")
  assert state.status(place, run) == broken_off
  with files.locked(home / state.LOCK):
    running = state.status(place, run)
  assert running == state.Status("running", progress="20/1,200")
  assert not running.ended
  rows = [
    {"step": 1, "name": "test", "top_1": 0.25, "best": "a"},
    {"step": 1, "name": "val", "loss": 3.0},
    {"step": 2, "name": "test", "top_1": 0.5},
  ]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  # A crash has cut the last line off.
  (home / "evals.jsonl").write_text(text + '{"step": 3, "na')
  assert state.write_end(home, 0) == ""
  scores = {"test/top_1": 0.5, "val/loss": 3.0}
  assert state.status(place, run) == state.Status("done", scores=scores)


@pytest.mark.parametrize(
  ("log", "error"),
  [
    ("step 1/2\nConfigError: no \n  \n", "ConfigError: no"),
    ("x" * 9000 + "\nlate", "late"),
    ("\n", ""),
    (None, ""),
  ],
)
def test_the_error_of_a_run_is_the_last_line_of_its_log(
  run, tmp_path, log, error
):
  home = state.folder(str(tmp_path), run)
  home.mkdir(parents=True)
  if log is not None:
    (home / "log.txt").write_text(log)
  assert state.write_end(home, 2) == error
  failed = state.status(str(tmp_path), run)
  assert failed == state.Status("failed", error=error) and failed.ended


def test_folders_that_are_of_another_form_of_the_sweep(run, tmp_path):
  assert state.unknown_folders(str(tmp_path), []) == []
  for name in ("b", "a", run.name):
    (tmp_path / "runs" / name).mkdir(parents=True)
  known = [(run, state.Status("waiting"))]
  assert state.unknown_folders(str(tmp_path), known) == ["a", "b"]
