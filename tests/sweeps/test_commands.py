"""Runs that something else starts: their commands, and how they end."""

import os
import shlex
import subprocess
import sys

import pytest
import yaml

from tests.e2e import run as command
from vit_jax.cli import main
from vit_jax.sweeps import state, sweep as lib

SWEEP = """
from vit_jax.sweeps import grid, sweep

def get_sweep(arg):
  start = sweep.Trained("start", "tiny.py", {{"runtime.data_dir": "{data}"}})
  return sweep.Sweep(
    config="{config}",
    settings=grid.product(
      grid.axis("runtime.data_dir", ("{data}",)),
      grid.axis("start.checkpoint", (start, "")),
      grid.axis("optim.frozen", (("head/.*", "norm/bias"),)),
      grid.axis("duration", ("1 epochs",)),
    ),
  )
"""


@pytest.fixture
def file(tmp_path, data_dir):
  path = tmp_path / "s.py"
  config = os.path.relpath(command.TINY, tmp_path)
  path.write_text(SWEEP.format(data=data_dir, config=config))
  return path


def lines(file, capsys):
  place = f"--workdir={file.parent}/w"
  assert main.main(["sweep", "commands", f"--config={file}", place]) == 0
  return capsys.readouterr().out.splitlines()


def runs_of(file):
  return lib.load(str(file)).runs


def save(file, run, step):
  folder = state.folder(str(file.parent / "w"), run) / "checkpoints" / str(step)
  folder.mkdir(parents=True)
  (folder / "manifest.json").write_text("{}")


def test_what_can_begin_until_it_has_ended(file, capsys):
  start, after, scratch = runs_of(file)
  names = [line.split()[0] for line in lines(file, capsys)]
  assert names == [start.name, scratch.name]
  save(file, start, 50)
  assert len(lines(file, capsys)) == 2
  assert state.status(f"{file.parent}/w", start).state == "interrupted"
  save(file, start, 60)
  names = [line.split()[0] for line in lines(file, capsys)]
  assert names == [after.name, scratch.name]
  # 1 epoch of 1,446 digits is 45 steps of 32.
  save(file, scratch, 45)
  assert len(lines(file, capsys)) == 1
  assert state.status(f"{file.parent}/w", scratch).state == "done"


def test_a_jobset_for_each(file, capsys):
  """As docs/sweeps.md has it, kubectl left out."""
  printed = "\n".join(lines(file, capsys))
  script = f"""
    while read -r name flags; do
      eval "{sys.executable} launch/gke/render.py --name=vit-$name \
        --image=eu.gcr.io/p/vit:1 --tpu=v5e --topology=4x4 -- $flags"
    done
  """
  done = subprocess.run(
    ["bash", "-euc", script],
    input=printed + "\n",
    capture_output=True,
    text=True,
    cwd=command.ROOT,
    check=True,
  )
  jobs = list(yaml.safe_load_all(done.stdout))
  start, _, scratch = runs_of(file)
  assert [job["kind"] for job in jobs] == ["JobSet"] * 2
  assert [j["metadata"]["name"] for j in jobs] == [
    f"vit-{start.name}",
    f"vit-{scratch.name}",
  ]
  for job, line in zip(jobs, printed.splitlines(), strict=True):
    pod = job["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
    args = pod["spec"]["containers"][0]["args"]
    assert args == shlex.split(line)[1:]
    assert args[0].startswith("--config=") and "tiny.py" in args[0]
  assert "--config.optim.frozen=('head/.*', 'norm/bias')" in args
  assert args[-1] == f"--workdir={file.parent}/w/runs/{scratch.name}"


def test_a_bucket_is_no_place_for_a_sweep(file, capsys):
  argv = ["sweep", "status", f"--config={file}", "--workdir=gs://b/sweep"]
  assert main.main(argv) == 2
  assert (
    "workdir=gs://b/sweep: a sweep's folder must" in capsys.readouterr().err
  )
