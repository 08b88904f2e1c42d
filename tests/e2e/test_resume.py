"""Kill, stop and move a run; it ends as if nothing had happened."""

import fcntl
import os
import random
import re
import resource
import shutil
import signal
import time

import numpy as np
import pytest

from tests.e2e import run as cli

STEPS = 100
pytestmark = pytest.mark.slow


def arguments(data_dir, workdir, *more, task="supervised"):
  return (
    "train",
    f"--config={cli.TINY}:steps={STEPS},task={task}",
    f"--config.runtime.data_dir={data_dir}",
    f"--workdir={workdir}",
    *more,
  )


@pytest.fixture(scope="module", params=["supervised"])
def task(request):
  return request.param


# Tests of what the task has a part in.
every_task = pytest.mark.parametrize(
  "task", ["supervised", "masked_patch"], indirect=True
)


@pytest.fixture(scope="module")
def whole(data_dir, task, tmp_path_factory):
  """The workdir of a run that nobody disturbed."""
  workdir = tmp_path_factory.mktemp("whole")
  done = cli.run(*arguments(data_dir, workdir, task=task))
  assert done.returncode == 0, done.stderr
  return workdir


def stop(data_dir, workdir, moment, number, *more, task="supervised"):
  """Starts a run, sends it a signal at a moment; returns code and stderr."""
  process = cli.start(*arguments(data_dir, workdir, *more, task=task))
  while process.poll() is None and not moment(workdir):
    time.sleep(0.001)
  process.send_signal(number)
  _, err = process.communicate(timeout=120)
  return process.returncode, err


def after_step(step):
  def moment(workdir):
    path = workdir / "metrics.jsonl"
    return path.exists() and path.read_bytes().count(b"\n") >= step

  return moment


def assert_same(ours, theirs):
  """Bit-identical final state and metrics."""
  for file in ("metrics.jsonl", "evals.jsonl"):
    assert cli.rows(ours / file) == cli.rows(theirs / file)
  a, b = cli.arrays(ours), cli.arrays(theirs)
  assert set(a) == set(b)
  assert {n.split("/")[0] for n in a} >= {"params", "opt_state", "ema", "step"}
  for name in a:
    assert a[name].tobytes() == b[name].tobytes(), name


def test_uninterrupted(whole):
  rows = cli.rows(whole / "metrics.jsonl")
  assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
  evals = cli.rows(whole / "evals.jsonl")
  assert [row["step"] for row in evals] == [20, 40, 60, 80, 100]
  assert all(row["examples"] == 351 for row in evals)
  assert cli.arrays(whole)["step"] == STEPS


@every_task
def test_kill_9(data_dir, task, whole, tmp_path):
  draw = random.Random(0)
  moments = [after_step(draw.randrange(1, 30)), cli.during_save]
  moments.append(after_step(draw.randrange(50, STEPS - 10)))
  for moment in moments:
    code, _ = stop(data_dir, tmp_path, moment, signal.SIGKILL, task=task)
    assert code == -signal.SIGKILL
  done = cli.run(*arguments(data_dir, tmp_path, task=task))
  assert done.returncode == 0, done.stderr
  assert "resuming from step" in done.stderr
  assert_same(tmp_path, whole)


@pytest.fixture(scope="module")
def stopped(data_dir, tmp_path_factory):
  """A workdir whose run got SIGTERM before it had saved at a round step."""
  workdir = tmp_path_factory.mktemp("stopped")
  code, err = stop(
    data_dir,
    workdir,
    after_step(33),
    signal.SIGTERM,
    "--config.runtime.save_every=1000 steps",
  )
  assert code == 143, err
  assert err.splitlines()[-1].startswith("Interrupted: SIGTERM: saved at step")
  return workdir


def test_sigterm_then_sigint(data_dir, whole, stopped, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(stopped, workdir)
  code, err = stop(data_dir, workdir, after_step(60), signal.SIGINT)
  assert code == 130, err
  assert "resuming from step" in err
  done = cli.run(*arguments(data_dir, workdir))
  assert done.returncode == 0, done.stderr
  assert_same(workdir, whole)


@pytest.mark.parametrize(
  ("devices", "mesh"), [(4, "data=4"), (4, "data=2,fsdp=2"), (1, "data=1")]
)
def test_other_devices(data_dir, whole, stopped, tmp_path, devices, mesh):
  workdir = tmp_path / "run"
  shutil.copytree(stopped, workdir)
  mesh = f"--config.runtime.mesh={mesh}"
  done = cli.run(*arguments(data_dir, workdir, mesh), devices=devices)
  assert done.returncode == 0, done.stderr
  assert "resuming from step" in done.stderr
  ours, theirs = (
    [row["loss"] for row in cli.rows(folder / "metrics.jsonl")]
    for folder in (workdir, whole)
  )
  np.testing.assert_allclose(ours, theirs, rtol=1e-4)
  assert ours != theirs or devices == 8
  scores = [cli.rows(w / "evals.jsonl")[-1] for w in (workdir, whole)]
  np.testing.assert_allclose(scores[0]["loss"], scores[1]["loss"], rtol=1e-4)


def test_damaged_checkpoint(data_dir, whole, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(whole, workdir)
  newest = workdir / "checkpoints" / str(STEPS)
  largest = max(
    newest.rglob("*"), key=lambda p: p.is_file() and p.stat().st_size
  )
  data = bytearray(largest.read_bytes())
  data[len(data) // 2] ^= 1
  largest.write_bytes(data)
  done = cli.run(*arguments(data_dir, workdir))
  assert done.returncode == 0, done.stderr
  assert str(largest.name) in done.stderr
  assert f"resuming from step {STEPS - 10}" in done.stderr
  assert (workdir / "checkpoints/damaged" / f"{STEPS}-0").is_dir() or list(
    (workdir / "checkpoints/damaged").glob(f"{STEPS}*")
  )
  assert_same(workdir, whole)


def test_full_disk(data_dir, whole, tmp_path):
  """No file may grow past a limit: what a full disk does, without root."""
  workdir = tmp_path / "run"
  process = cli.start(*arguments(data_dir, workdir))
  resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2500, 2500))
  _, err = process.communicate(timeout=120)
  assert process.returncode == 1, err
  assert "Traceback" not in err
  last = err.splitlines()[-1]
  # Whichever file was the first to be too large.
  assert re.match(
    r"(CheckpointError: .*cannot save|StorageError: cannot)", last
  )
  assert "File too large; free space" in last
  done = cli.run(*arguments(data_dir, workdir))
  assert done.returncode == 0, done.stderr
  assert_same(workdir, whole)


def test_second_run_only_reports(data_dir, whole, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(whole, workdir)
  done = cli.run(*arguments(data_dir, workdir))
  assert done.returncode == 0, done.stderr
  assert "test accuracy" in done.stdout
  assert_same(workdir, whole)


def test_held_workdir(data_dir, whole, tmp_path):
  workdir = tmp_path / "run"
  workdir.mkdir()
  with open(workdir / ".lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    done = cli.run(*arguments(data_dir, workdir))
  assert done.returncode == 1
  assert "is in use by another run" in done.stderr
  assert os.listdir(workdir) == [".lock"]
