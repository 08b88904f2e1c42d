"""What a job of Slurm does with its run; results/slurm has real ones."""

import subprocess
import sys

import pytest

from tests.e2e import run as command
from tests.sweeps import stand_in
from vit_jax.core import errors, files
from vit_jax.sweeps import execute, grid, slurm, state, sweep as lib

ONE = lib.Sweep(
  config=command.TINY, settings=grid.axis("optim.peak_lr", (0.1,))
)


@pytest.fixture
def job(monkeypatch, tmp_path):
  """A run of the stand-in as a job, and its folder."""
  (run,) = ONE.runs
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
  assert state.status(str(tmp_path), run).state == ends
  # Slurm may start a job twice.
  assert made() == 0
  assert len((home / "starts").read_text().splitlines()) == starts


def test_a_run_that_another_holds_is_left_alone(job):
  made, home, _ = job
  with files.locked(home / state.LOCK):
    assert made() == 0
  assert not (home / "starts").exists()


def test_wrong_parameters(monkeypatch, tmp_path):
  monkeypatch.setattr("shutil.which", lambda name: None)
  with pytest.raises(errors.ConfigError, match="there is no sbatch here"):
    slurm.submit(ONE, str(tmp_path), ["timeout_min=5"])
  monkeypatch.setattr("shutil.which", lambda name: "/bin/true")
  for wrong, message in (
    ("timeout_min", "slurm=timeout_min must be KEY=VALUE"),
    ("slurm_partitoin=x", "slurm_partitoin"),
  ):
    with pytest.raises(errors.ConfigError, match=message):
      slurm.submit(ONE, str(tmp_path), [wrong])


SBATCH = """#!/bin/sh
cp "$1" {folder}/script
echo "Submitted batch job 7"
"""


def test_a_job_works_where_the_command_was_given(tmp_path, monkeypatch):
  """The script that Slurm gets goes there first, wherever the job starts."""
  programs, here = tmp_path / "bin", tmp_path / "my lab"
  for folder in (programs, here):
    folder.mkdir()
  for name in ("sbatch", "srun"):
    (programs / name).write_text(SBATCH.format(folder=tmp_path))
    (programs / name).chmod(0o755)
  monkeypatch.setenv("PATH", str(programs), prepend=":")
  monkeypatch.chdir(here)
  line = slurm.submit(ONE, "w", ["timeout_min=5"])
  assert line == "submitted 1 runs: 7"
  script = (tmp_path / "script").read_text().splitlines()
  assert f"#SBATCH --chdir='{here}'" in script
  assert "#SBATCH --time=5" in script
  # submitit itself is started by -m, which makes that folder importable.
  assert any("srun " in s and "-m submitit.core._submit" in s for s in script)


def test_the_train_command_imports_from_its_folder(tmp_path):
  """Of a job, and of the workers of this machine."""
  (run,) = ONE.runs
  words = execute.command(run, str(tmp_path))
  assert words[1:3] == ["-m", "vit_jax"]
  words[2] = "mylab"
  (tmp_path / "mylab.py").write_text("print('imported')\n")
  done = subprocess.run(
    words, cwd=tmp_path, capture_output=True, text=True, check=True
  )
  assert done.stdout == "imported\n"
