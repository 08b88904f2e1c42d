"""One run as one, two and four processes, and what ends all of them."""

import json
import resource
import shutil
import socket

import numpy as np
import pytest

from tests.e2e import run as cli, run_processes

pytestmark = pytest.mark.slow

MESHES, LAYOUTS = run_processes.MESHES, run_processes.LAYOUTS
# Of 50, which results/processes has for every model.
STEPS = 20


@pytest.fixture(scope="module")
def found(data_dir, tmp_path_factory):
  """What each number of processes reports, and the folder of its runs."""
  results = {}
  for count in LAYOUTS:
    out = tmp_path_factory.mktemp(f"processes{count}")
    results[count] = (
      run_processes.launch(count, data_dir, out, steps=STEPS),
      out,
    )
  return results


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("count", LAYOUTS[1:])
def test_same_batches_bit_for_bit(found, mesh, count):
  hashes = [found[n][0][mesh]["batches"] for n in (1, count)]
  assert len(set(hashes[0])) == run_processes.WATCHED
  assert hashes[0] == hashes[1]
  # The batch knows nothing of the mesh either.
  assert hashes[0] == found[1][0][MESHES[0]]["batches"]


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("count", LAYOUTS[1:])
def test_equal_losses_and_scores(found, mesh, count):
  one, many = (found[n][1] / mesh for n in (1, count))
  rows = [cli.rows(folder / "metrics.jsonl") for folder in (one, many)]
  # One row a step: process 0 alone writes.
  assert [len(r) for r in rows] == [STEPS] * 2
  losses = [[row["loss"] for row in r] for r in rows]
  np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
  np.testing.assert_allclose(
    rows[1][0]["l2_grads"], rows[0][0]["l2_grads"], rtol=1e-5
  )
  (a,), (b,) = (cli.rows(folder / "evals.jsonl") for folder in (one, many))
  assert a["examples"] == b["examples"] == 351
  np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-4)
  assert len(list(many.glob("events.*"))) == 1


@pytest.mark.parametrize("count", LAYOUTS)
def test_state_is_really_sharded(found, count):
  size = {mesh: found[count][0][mesh]["bytes"] for mesh in MESHES}
  whole = size["data=4"]["params"][0]
  # Adam keeps two moments, sharded like the parameters, and a few counters.
  assert 0 <= size["data=4"]["opt_state"][0] - 2 * whole < 64
  for mesh, split in (("data=1,fsdp=4", 0.45), ("data=2,tensor=2", 0.7)):
    (params,), (moments,) = size[mesh]["params"], size[mesh]["opt_state"]
    assert params < split * whole
    assert 0 <= moments - 2 * params < 64


def together(*each, data_dir, workdir):
  """Runs the command as two processes, with arguments of their own."""
  address = cli.free_address()
  return [
    cli.start(
      "train",
      f"--config={cli.TINY}",
      f"--config.runtime.data_dir={data_dir}",
      f"--workdir={workdir}",
      f"--coordinator_address={address}",
      f"--num_processes={len(each)}",
      f"--process_id={i}",
      *more,
      devices=1,
    )
    for i, more in enumerate(each)
  ]


def last_lines(done):
  return [p.stderr.splitlines()[-1] for p in done]


def test_all_stop_at_a_loss_that_is_not_finite(data_dir, tmp_path):
  more = "--config.optim.peak_lr=1e30", "--config.optim.clip_norm=0.0"
  done = cli.wait(together(more, more, data_dir=data_dir, workdir=tmp_path))
  assert [p.returncode for p in done] == [1, 1]
  first, second = last_lines(done)
  assert first == second
  assert first.startswith("NonFiniteError: step 2")
  # The whole batch is named, not only this process's half.
  assert len(json.loads(first.partition("batch: ")[2])) == 32


def test_one_that_cannot_write_stops_all(data_dir, tmp_path):
  """Process 0 alone writes rows, while the other waits for its gradients."""
  processes = together((), (), data_dir=data_dir, workdir=tmp_path)
  resource.prlimit(processes[0].pid, resource.RLIMIT_FSIZE, (2500, 2500))
  done = cli.wait(processes)
  assert [p.returncode for p in done] == [1, 1]
  first, second = last_lines(done)
  assert "File too large; free space" in first
  assert second.startswith("PeerError: process 0 (")
  assert second.endswith(f") ended: {first}")
  assert "Traceback" not in done[1].stderr


def other_config(data_dir, tmp_path):
  """Arguments of process 1, the folder of its code, and the error."""
  del data_dir, tmp_path
  said = (
    "another config on {1} than on {0}: config.runtime.microbatches=2 there"
  )
  return ("--config.runtime.microbatches=2",), cli.ROOT, said


def other_data(data_dir, tmp_path):
  copy = tmp_path / "data"
  shutil.copytree(data_dir, copy)
  (info,) = copy.rglob("dataset_info.json")
  content = json.loads(info.read_text())
  content["splits"][0]["numBytes"] = "1"
  info.write_text(json.dumps(content))
  split = content["splits"][0]["name"]
  said = f".split_bytes.{split}=1 there"
  said = "another data set on {1} than on {0}: evals.test.data" + said
  return (f"--config.runtime.data_dir={copy}",), cli.ROOT, said


def _change_a_copy(folder, name):
  """Copies all code to a folder, and changes one file of the copy."""
  for package in ("vit_jax", "examples"):
    shutil.copytree(cli.ROOT / package, folder / package)
  with (folder / name).open("a") as f:
    f.write("# another\n")


def other_code(data_dir, tmp_path):
  del data_dir
  _change_a_copy(tmp_path, "vit_jax/train/step.py")
  said = "another code on {1} than on {0}: vit_jax/train/step.py="
  return (), tmp_path, said


def other_part(data_dir, tmp_path):
  """An optimiser from outside of the package, in another version."""
  del data_dir
  _change_a_copy(tmp_path, "examples/own_parts/lion.py")
  said = "another code of the parts from outside on {1} than on {0}: "
  return (), tmp_path, said + "examples/own_parts/lion.py="


def no_data(data_dir, tmp_path):
  del data_dir
  said = "{1}: data.train.name=tfds:digits"
  return (f"--config.runtime.data_dir={tmp_path}",), cli.ROOT, said


@pytest.mark.parametrize(
  "differs", [other_config, other_data, other_code, other_part, no_data]
)
def test_one_that_differs_stops_all(data_dir, tmp_path, differs):
  """Found as tasks of Slurm are; named; nothing is written."""
  more, folder, said = differs(data_dir, tmp_path)
  port = cli.free_address().rpartition(":")[2]
  slurm = {
    "JAX_COORDINATOR_PORT": port,
    **dict.fromkeys(("SLURM_JOB_ID", "SLURM_STEP_NUM_NODES"), "1"),
    "SLURM_STEP_NODELIST": "127.0.0.1",
    "SLURM_NTASKS": "2",
  }
  workdir = tmp_path / "run"
  done = cli.wait(
    cli.start(
      "train",
      f"--config={cli.TINY}",
      "--config.optim.name=examples.own_parts.lion",
      f"--config.runtime.data_dir={data_dir}",
      f"--workdir={workdir}",
      *(more if i else ()),
      devices=1,
      folder=folder if i else cli.ROOT,
      variables={**slurm, "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)},
    )
    for i in range(2)
  )
  assert [p.returncode for p in done] == [2, 2]
  first, second = last_lines(done)
  assert first == second
  host = socket.gethostname()
  names = (f"process {i} ({host})" for i in range(2))
  assert first.startswith("ConfigError: " + said.format(*names)), first
  assert not workdir.exists()


def test_two_continue_the_run_of_one(data_dir, tmp_path):
  """For longer, from its whole state, each with its part of it."""

  def arguments(steps, workdir, *more):
    fields = {
      "duration": f"{steps} steps",
      # The same rates in a run of any length.
      "optim.schedule.warmup": "2 steps",
      "optim.schedule.decay": "constant",
      "evals.test.every": "100 %",
      "runtime.data_dir": data_dir,
    }
    flags = (f"--config.{name}={value}" for name, value in fields.items())
    return (
      *("train", f"--config={cli.TINY}", f"--workdir={tmp_path / workdir}"),
      *(*flags, *more),
    )

  for steps, workdir in ((4, "first"), (8, "whole")):
    done = cli.wait([cli.start(*arguments(steps, workdir), devices=2)])
    assert [p.returncode for p in done] == [0], done[0].stderr
  address = cli.free_address()
  done = cli.wait(
    cli.start(
      *arguments(8, "second", f"--config.start.resume={tmp_path / 'first'}"),
      f"--coordinator_address={address}",
      "--num_processes=2",
      f"--process_id={i}",
      devices=1,
    )
    for i in range(2)
  )
  assert [p.returncode for p in done] == [0, 0], done[0].stderr
  rows = cli.rows(tmp_path / "second" / "metrics.jsonl")
  whole = cli.rows(tmp_path / "whole" / "metrics.jsonl")[4:]
  assert [row["step"] for row in rows] == [5, 6, 7, 8]
  np.testing.assert_allclose(
    [row["loss"] for row in rows], [row["loss"] for row in whole], rtol=1e-5
  )
