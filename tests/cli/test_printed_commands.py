"""Commands that are printed can be pasted, whatever files are called."""

import json

import pytest

from tests.e2e import run as cli
from vit_jax import checkpoints
from vit_jax.cli import main
from vit_jax.core import config as config_lib, errors, parts
from vit_jax.sweeps import execute, state, sweep as sweep_lib
from vit_jax.train import workdir as workdir_lib

# What a shell would split, expand, or wait for the end of.
NAME = "a b's $HOME; `c`"
SWEEP = f"""
from vit_jax.sweeps import grid, sweep

def get_sweep(arg):
  settings = grid.axis("optim.frozen", (("head/.*", "norm/bias"), (arg,)))
  return sweep.Sweep(config={cli.TINY!r}, settings=settings)
"""


@pytest.fixture
def sweep(tmp_path):
  """A sweep of two runs and its flags."""
  file = tmp_path / f"{NAME}.py"
  file.write_text(SWEEP)
  arg = "x=$y 'z"
  place = str(tmp_path / NAME / "runs")
  flags = [f"--config={file}:{arg}", f"--workdir={place}"]
  return sweep_lib.load(str(file), arg), place, flags


def end(sweep, exit_code):
  """Notes that each run has ended by itself."""
  made, place, _ = sweep
  for run in made.runs:
    home = state.folder(place, run)
    home.mkdir(parents=True, exist_ok=True)
    state.write_end(home, exit_code)


def test_the_runs_of_a_sweep(sweep, capsys):
  made, place, flags = sweep
  assert main.main(["sweep", "commands", *flags]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 2
  for run, line in zip(made.runs, lines, strict=True):
    name, _, rest = line.partition(" ")
    assert name == run.name
    assert cli.pasted(f"python {rest}") == execute.arguments(run, place)
  assert "x=$y" in lines[1]


def test_the_end_of_a_sweep(sweep, capsys):
  *_, flags = sweep
  end(sweep, 1)
  assert main.main(["sweep", "run", *flags]) == 1
  said = capsys.readouterr().err.strip()
  assert said.startswith("RunError: 2 runs failed")
  again = cli.pasted(said[said.index("python -m") :])
  assert again == ["-m", "vit_jax", "sweep", "run", "--retry", *flags]
  end(sweep, 0)
  assert main.main(again[2:]) == 0
  said = capsys.readouterr().out.strip()
  assert said.startswith("all runs are done")
  assert cli.pasted(said[said.index("python -m") :]) == [
    *("-m", "vit_jax", "sweep", "collect"),
    *flags,
  ]


def test_a_longer_run(tmp_path):
  folder = tmp_path / NAME
  folder.mkdir()
  (folder / "config.json").write_text(json.dumps({"duration": "4 steps"}))
  config = config_lib.ConfigDict({"duration": "8 steps"})
  with (
    pytest.raises(errors.ConfigError) as e,
    workdir_lib.claim(str(folder), config),
  ):
    pass
  said = str(e.value)
  flag = said[said.index("--config.start.resume=") :]
  assert cli.pasted(f"python {flag}") == [f"--config.start.resume={folder}"]


def test_weights_in_a_bucket(bucket):
  bucket.write(f"{NAME}/model.npz", b"")
  with pytest.raises(errors.CheckpointError) as e:
    checkpoints.load(f"gs://bucket/{NAME}/model.npz")
  said = str(e.value)
  command = said[said.index("gcloud") : -1]
  place = f"gs://bucket/{NAME}/model.npz"
  assert cli.pasted(command) == ["storage", "cp", "-r", place, "FOLDER"]


def test_a_module_that_a_checkpoint_names():
  """A stranger's checkpoint has the word in a command that is pasted."""
  name = "lab; echo $HOME"
  with parts.only(()), pytest.raises(errors.ConfigError) as e:
    parts.find("vit_jax.models", f"{name}.vit2")
  said = str(e.value)
  flag = said[said.index("--allow_parts=") :]
  assert cli.pasted(f"python {flag}") == [f"--allow_parts={name}"]
