"""What a job of Slurm does with its run; results/slurm has real ones."""

import sys

import pytest

from tests.e2e import run as command
from tests.sweeps import stand_in
from vit_jax.core import errors
from vit_jax.sweeps import execute, grid, slurm, state, sweep as lib


@pytest.fixture
def job(monkeypatch, tmp_path):
  """A run of the stand-in as a job, and its folder."""
  (run,) = lib.runs(
    lib.Sweep(config="", settings=grid.axis("optim.peak_lr", (0.1,))),
    command.TINY,
  )
  home = state.folder(str(tmp_path), run)
  words = [sys.executable, stand_in.__file__]
  monkeypatch.setattr(
    execute,
    "command",
    lambda run, workdir: [*words, *execute.arguments(run, workdir)],
  )
  return slurm.Job(run, str(tmp_path)), home, run


@pytest.mark.parametrize(
  ("plan", "code", "starts", "ends"),
  [
    ("", 0, 1, "done"),
    ("kill", 0, 2, "done"),
    ("busy", 0, 2, "done"),
    ("fail", 2, 1, "failed"),
  ],
)
def test_how_a_job_ends(job, monkeypatch, tmp_path, plan, code, starts, ends):
  made, home, run = job
  monkeypatch.setenv("PLAN", f'{{"0.1": "{plan}"}}')
  assert made() == code
  assert len((home / "starts").read_text().splitlines()) == starts
  assert state.of(str(tmp_path), run).state == ends
  # Slurm may start a job twice.
  assert made() == 0
  assert len((home / "starts").read_text().splitlines()) == starts


def test_a_run_that_another_holds_is_left_alone(job):
  made, home, _ = job
  with state.hold(home):
    assert made() == 0
  assert not (home / "starts").exists()


def test_wrong_parameters(job, monkeypatch, tmp_path):
  *_, run = job
  sweep = lib.Sweep(config="", settings=grid.axis("optim.peak_lr", (0.1,)))
  monkeypatch.setattr("shutil.which", lambda name: None)
  with pytest.raises(errors.ConfigError, match="there is no sbatch here"):
    slurm.submit(sweep, [run], str(tmp_path), ["timeout_min=5"])
  monkeypatch.setattr("shutil.which", lambda name: "/bin/true")
  for wrong, message in (
    ("timeout_min", "slurm=timeout_min must be KEY=VALUE"),
    ("slurm_partitoin=x", "slurm_partitoin"),
  ):
    with pytest.raises(errors.ConfigError, match=message):
      slurm.submit(sweep, [run], str(tmp_path), [wrong])
