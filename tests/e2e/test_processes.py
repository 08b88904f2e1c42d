"""One run as one, two and four processes; preemption; moving between them."""

import json
import signal
import time

import numpy as np
import pytest

from tests.e2e import run as cli, run_processes

pytestmark = pytest.mark.slow

MESHES, LAYOUTS = run_processes.MESHES, run_processes.LAYOUTS


@pytest.fixture(scope="module")
def found(data_dir, tmp_path_factory):
  """What each number of processes reports, and the folder of its runs."""
  results = {}
  for count in LAYOUTS:
    out = tmp_path_factory.mktemp(f"processes{count}")
    results[count] = run_processes.launch(count, data_dir, out), out
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
  assert [len(r) for r in rows] == [run_processes.STEPS] * 2
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


def together(count, data_dir, workdir, *more, devices):
  """Starts the command as several processes."""
  address = cli.free_address()
  return [
    cli.start(
      "train",
      f"--config={cli.TINY}:steps=400",
      f"--config.runtime.data_dir={data_dir}",
      "--config.runtime.save_every=50 %",
      "--config.evals.test.every=50 %",
      f"--workdir={workdir}",
      f"--coordinator_address={address}",
      f"--num_processes={count}",
      f"--process_id={i}",
      *more,
      devices=devices,
    )
    for i in range(count)
  ]


def preempted(processes, workdir, step, which):
  """Ends one process with SIGTERM after a step; how all ended."""
  path = workdir / "metrics.jsonl"
  while not path.exists() or path.read_bytes().count(b"\n") < step:
    assert all(p.poll() is None for p in processes)
    time.sleep(0.01)
  processes[which].send_signal(signal.SIGTERM)
  return cli.wait(processes)


def saved_at(done):
  """The step at which all processes say they saved."""
  (step,) = {p.stderr.split("saved at step ")[1].split(";")[0] for p in done}
  return int(step)


def test_preempted_moved_and_finished(data_dir, tmp_path):
  """Saved by two processes; goes on as four, then as one, on other meshes."""
  whole, moved = tmp_path / "whole", tmp_path / "moved"
  done = cli.wait(together(1, data_dir, whole, devices=4))
  assert done[0].returncode == 0, done[0].stderr
  mesh = "--config.runtime.mesh=data=2,fsdp=2"
  step = 0
  for count, which, options in ((2, 1, [mesh]), (4, 0, [])):
    processes = together(count, data_dir, moved, *options, devices=4 // count)
    done = preempted(processes, moved, step + 40, which)
    assert [p.returncode for p in done] == [143] * count
    if step:
      assert f"resuming from step {step}" in done[0].stderr
    earlier, step = step, saved_at(done)
    assert earlier + 40 <= step < 400
  done = cli.wait(together(1, data_dir, moved, devices=2))
  assert done[0].returncode == 0, done[0].stderr
  assert f"resuming from step {step}" in done[0].stderr
  rows = [cli.rows(path / "metrics.jsonl") for path in (whole, moved)]
  assert [[r["step"] for r in x] for x in rows] == [list(range(1, 401))] * 2
  losses = [[row["loss"] for row in x] for x in rows]
  np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_all_stop_at_a_loss_that_is_not_finite(data_dir, tmp_path):
  done = cli.wait(
    together(
      2,
      data_dir,
      tmp_path,
      "--config.optim.peak_lr=1e30",
      "--config.optim.clip_norm=0.0",
      devices=1,
    )
  )
  assert [p.returncode for p in done] == [1, 1]
  first, second = (p.stderr.splitlines()[-1] for p in done)
  assert first == second
  assert first.startswith("NonFiniteError: step 2")
  # The whole batch is named, not only this process's half.
  assert len(json.loads(first.partition("batch: ")[2])) == 32


def test_one_without_data_stops_all(data_dir, tmp_path):
  address = cli.free_address()
  done = cli.wait(
    cli.start(
      "train",
      f"--config={cli.TINY}",
      f"--config.runtime.data_dir={folder}",
      f"--workdir={tmp_path / 'run'}",
      f"--coordinator_address={address}",
      "--num_processes=2",
      f"--process_id={i}",
      devices=1,
    )
    for i, folder in enumerate((data_dir, tmp_path))
  )
  assert [p.returncode for p in done] == [2, 2]
  for process in done:
    assert process.stderr.splitlines()[-1].startswith(
      "ConfigError: process 1: data.train.name=tfds:digits"
    )
  assert not (tmp_path / "run").exists()
