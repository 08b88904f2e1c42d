"""Small experiments: what they are, killed and started again, their tables."""

import json
import sys

import pytest

from tests.reproduce import small_runs, stand_in
from vit_jax.core import errors
from vit_jax.reproduce import run_small, small_experiment
from vit_jax.sweeps import execute, leaks, state


@pytest.fixture
def quick(monkeypatch):
  """Runs of the stand-in, and no data set."""

  def command(run, workdir):
    home = state.folder(workdir, run)
    flags = [*run.flags("/"), f"--workdir={home}"]
    return [sys.executable, stand_in.__file__, *flags]

  monkeypatch.setattr(execute, "command", command)
  monkeypatch.setattr(leaks, "check", lambda *_: None)


FILES = ("result.json", "table.md", "runs.csv", "plot.png")


def files(folder):
  return {name: (folder / "out" / name).read_bytes() for name in FILES}


def test_killed_and_started_again_gives_the_same(quick, monkeypatch, tmp_path):
  one = small_experiment.find("table=7")
  result = small_runs.run(one, tmp_path / "a")
  assert [len(arm.runs) for arm in result.arms] == [3, 3]
  names = sorted(p.name for p in (tmp_path / "a/runs/runs").iterdir())
  assert len(names) == 14
  monkeypatch.setenv("KILLED", names[3])
  monkeypatch.setenv("STOPPED", names[7])
  with pytest.raises(errors.Interrupted):
    small_runs.run(one, tmp_path / "b", workers=1)
  assert not (tmp_path / "b/out").exists()
  assert small_runs.run(one, tmp_path / "b") == result
  assert files(tmp_path / "a") == files(tmp_path / "b")
  assert run_small.read(str(tmp_path / "a/out")) == result


def test_what_failed_is_said_and_tried_again(quick, monkeypatch, tmp_path):
  _, runs = small_runs.runs_of(small_experiment.find("table=7"))
  monkeypatch.setenv("FAILED", runs[0].name)
  with pytest.raises(errors.RunError, match=r"1 runs failed, see .*runs\.csv"):
    small_runs.run(small_experiment.find("table=7"), tmp_path)
  csv = (tmp_path / "out/runs.csv").read_text()
  assert csv.count("ConfigError: odd") == 1
  assert small_runs.run(small_experiment.find("table=7"), tmp_path).failed == 0


def test_rates_are_chosen_on_held_out_images(quick, tmp_path):
  one = small_experiment.find("table=7")
  result = small_runs.run(one, tmp_path)
  sweep, _ = small_runs.runs_of(one)
  found = state.statuses(sweep, str(tmp_path / "runs"))
  for arm in result.arms:
    first = {
      r.setting[small_experiment.RATE]: s.scores["val/top_1"]
      for r, s in found
      if r.stage == "first" and one.arm_of(r.setting).name == arm.name
    }
    # Two rates may score the same.
    assert first[arm.rate] == max(first.values())
    final = [r for r, _ in found if r.name in arm.runs]
    assert [set(r.config.evals) for r in final] == [{"test", "digits"}] * 3


def test_every_number_is_that_of_a_run(quick, tmp_path):
  """The table's, from the runs' own files."""
  one = small_experiment.find("table=7")
  small_runs.run(one, tmp_path)
  text = (tmp_path / "out/table.md").read_text()
  written = json.loads((tmp_path / "out/result.json").read_text())
  assert text.count("| 3 |") == 2
  for arm in written["arms"]:
    for metric, values in arm["scores"].items():
      name, _, score = metric.partition("/")
      from_files = []
      for folder in arm["runs"]:
        rows = (tmp_path / "runs/runs" / folder / "evals.jsonl").read_text()
        row = [json.loads(line) for line in rows.splitlines()]
        from_files += [r[score] for r in row if r["name"] == name]
      assert values == from_files
      mean = sum(values) / 3
      deviation = (sum((v - mean) ** 2 for v in values) / 2) ** 0.5
      assert f"| {mean:.5g} ± {deviation:.2g} |" in text


def test_what_starts_from_another_run(quick, tmp_path):
  result = small_runs.run(small_experiment.find("section=4.6"), tmp_path)
  assert [arm.name for arm in result.arms if len(arm.runs) == 3] == [
    "scratch",
    "masked patches",
    "supervised",
  ]


def test_a_figure_without_a_small_experiment():
  with pytest.raises(errors.ConfigError, match="figure=12 has no small"):
    small_experiment.find("figure=12")
