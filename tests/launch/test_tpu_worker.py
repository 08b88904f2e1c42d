"""What a TPU worker does, with a stand-in for Python."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.launch import commands

# Trains until somebody asks it to stop.
PYTHON = """#!/usr/bin/env bash
echo "started with $*"
trap 'echo saved; exit 143' TERM
last=${!#}
[[ $last == code=* ]] && exit "${last#code=}"
while sleep 0.1; do :; done
"""


@pytest.fixture
def worker(tmp_path):
  """Starts the script in a checkout of its own."""
  checkout = tmp_path / "vit_jax"
  (checkout / ".venv/bin").mkdir(parents=True)
  (checkout / "launch").mkdir()
  python = checkout / ".venv/bin/python"
  python.write_text(PYTHON)
  python.chmod(0o755)
  script = checkout / "launch/tpu_worker.sh"
  shutil.copy(commands.LAUNCH / "tpu_worker.sh", script)

  def start(*words):
    return subprocess.Popen(
      [str(script), *words],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      start_new_session=True,
    )

  return start


@pytest.mark.parametrize("code", [0, 2])
def test_tells_the_exit_code(worker, code):
  out, _ = worker("train", "--workdir=a b", f"code={code}").communicate()
  first, last = out.splitlines()
  assert first == f"started with -m vit_jax train --workdir=a b code={code}"
  assert last.startswith("vit_jax on ")
  assert last.endswith(f": exit code {code}")


def stop(worker):
  process = worker("stop")
  process.communicate()
  return process.returncode


def test_outlives_ssh_is_joined_and_stopped(worker, tmp_path):
  first = worker("train", "one")
  log = tmp_path / "vit_jax_run/log"
  while not (log.exists() and log.read_text()):
    time.sleep(0.05)
  # As when a connection breaks.
  os.killpg(first.pid, signal.SIGKILL)
  first.communicate()
  second = worker("train", "two")
  assert second.stdout.readline() == "started with -m vit_jax train one\n"
  assert stop(worker) == 0
  saved, last = second.communicate()[0].splitlines()
  assert saved == "saved"
  assert last.endswith(": exit code 143")
  # There is nothing left to stop.
  assert stop(worker) != 0


def test_usage(worker):
  process = worker("start")
  assert process.communicate()[1].startswith("usage: ")
  assert process.returncode == 2
