"""A terminal that is closed ends a run like SIGTERM: it saves first."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from tests.e2e import run as cli

pytestmark = pytest.mark.slow
STEPS = 2000


@pytest.fixture(autouse=True)
def hangups_are_heard():
  """Processes inherit an ignored signal, such as from nohup before pytest."""
  before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
  yield
  signal.signal(signal.SIGHUP, before)


def command(data_dir, workdir, *more):
  return [
    *(sys.executable, "-m", "vit_jax", "train"),
    f"--config={cli.TINY}:steps={STEPS}",
    f"--config.runtime.data_dir={data_dir}",
    "--config.runtime.save_every=1000 steps",
    "--config.evals.test.every=1000 steps",
    f"--workdir={workdir}",
    *more,
  ]


def wait_for_rows(workdir, process=None):
  path = workdir / "metrics.jsonl"
  until = time.monotonic() + 120
  while not path.exists() or path.read_bytes().count(b"\n") < 20:
    assert time.monotonic() < until
    assert process is None or process.poll() is None
    time.sleep(0.01)


def saved(workdir):
  return [p.parent.name for p in workdir.glob("checkpoints/*/manifest.json")]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_closed_terminal(data_dir, tmp_path, workers):
  more = f"--config.runtime.data_workers={workers}"
  arguments = command(data_dir, tmp_path, more)
  ours, theirs = pty.openpty()
  # The first terminal that a session's leader opens is the session's own.
  opening = 'exec "$@" <"$0" >"$0" 2>&1'
  process = subprocess.Popen(
    ["sh", "-c", opening, os.ttyname(theirs), *arguments],
    cwd=cli.ROOT,
    env=cli.environment(1),
    start_new_session=True,
  )
  os.close(theirs)
  wait_for_rows(tmp_path, process)
  os.close(ours)
  assert process.wait(120) == 129
  assert len(saved(tmp_path)) == 1


def test_hangup_says_how_to_go_on(data_dir, tmp_path):
  process = cli.popen(command(data_dir, tmp_path), 1)
  wait_for_rows(tmp_path, process)
  process.send_signal(signal.SIGHUP)
  _, err = process.communicate(timeout=120)
  assert process.returncode == 129, err
  assert err.splitlines()[-1].startswith("Interrupted: SIGHUP: saved at step")
  assert len(saved(tmp_path)) == 1


def test_under_nohup_the_run_goes_on(data_dir, tmp_path):
  process = subprocess.Popen(
    ["nohup", *command(data_dir, tmp_path)],
    cwd=cli.ROOT,
    env=cli.environment(1),
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )
  wait_for_rows(tmp_path, process)
  process.send_signal(signal.SIGHUP)
  rows = (tmp_path / "metrics.jsonl").read_bytes().count(b"\n")
  while (tmp_path / "metrics.jsonl").read_bytes().count(b"\n") < rows + 50:
    assert process.poll() is None
    time.sleep(0.05)
  process.terminate()
  _, err = process.communicate(timeout=120)
  assert process.returncode == 143, err


def test_of_two_processes_one_hangs_up(data_dir, tmp_path):
  address = cli.free_address()
  both = [
    cli.popen(
      command(
        data_dir,
        tmp_path,
        f"--coordinator_address={address}",
        "--num_processes=2",
        f"--process_id={i}",
      ),
      1,
    )
    for i in range(2)
  ]
  wait_for_rows(tmp_path, both[1])
  both[1].send_signal(signal.SIGHUP)
  done = cli.wait(both, 120)
  assert [p.returncode for p in done] == [143, 129], done
  assert len(saved(tmp_path)) == 1
