"""The reproduce command: what it prints, writes and refuses."""

import json

import pytest

from vit_jax.cli import main
from vit_jax.reproduce import run_small, small_experiment


def test_a_table(tmp_path, capsys):
  out = tmp_path / "out"
  arguments = ["reproduce", "--table=4", f"--out={out}", "--runs=none"]
  assert main.main(arguments) == 0
  text = capsys.readouterr().out
  assert "## Table 4: Settings of fine-tuning" in text
  assert "| VTAB (19 tasks) | 2,500 → 2,500 (0) | 0.01 → 0.01 |" in text
  assert (out / "paper/table4.md").read_text() in text
  (page,) = json.loads((out / "paper/table4.json").read_text())
  cell = page["cells"][0]
  assert cell["paper"]["source"] == "paper:table4"
  assert cell["ours"]["source"].startswith("config:configs/sweeps/transfer.py")


@pytest.mark.parametrize(
  "arguments, message",
  [
    ([], "one of the arguments --table --figure --section --page"),
    (["--table=3", "--figure=3"], "not allowed with"),
    (["--table=10"], "table=10 is not one of: 1, 2, 3, 4, 5, 6, 7, 8, 9"),
    (["--figure=1"], "figure=1 is not one of: 2, 3"),
    (["--section=4.5"], "invalid choice"),
    (["--figure=12", "--scale=mini"], "figure=12 has no small experiment"),
    (["--table=8", "--scale=mini", "--workers=0"], "workers=0 must be at"),
    (["--table=8", "--compute=-1"], "compute=-1 must be at least 0"),
    (["--table=8", "--config.seed=1"], "--config.seed=1"),
  ],
)
def test_what_is_refused(tmp_path, capsys, monkeypatch, arguments, message):
  monkeypatch.chdir(tmp_path)
  assert main.main(["reproduce", *arguments]) == 2
  error = capsys.readouterr().err
  assert message in error and error.count("\n") == 1
  assert not list(tmp_path.iterdir())


def test_a_small_experiment_is_handed_on(tmp_path, capsys, monkeypatch):
  def run(one, workdir, out, *, data_dir, workers):
    assert (workdir, out) == ("R/figure9", "O/figure9")
    assert (data_dir, workers) == ("D", 3)
    arms = [
      run_small.ArmResult(arm.name, arm.series, 0.0, 0.0, {}, [])
      for arm in one.arms
    ]
    return run_small.Result(one.name, arms, ["not run"] * len(one.claims), 0)

  monkeypatch.setattr(run_small, "run", run)
  arguments = ["--scale=mini", "--runs=R", "--out=O", "--data_dir=D"]
  command = ["reproduce", "--figure=9", *arguments, "--workers=3"]
  assert main.main(command) == 0
  text = capsys.readouterr().out
  assert small_experiment.find("figure=9").question in text
  assert text.count("**not run**") == 2 and "wrote O/figure9" in text
