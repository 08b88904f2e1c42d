"""Several processes on one machine."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.e2e import run as cli
from tests.launch import commands

SCRIPT = str(commands.LAUNCH / "local.sh")
# A process that says who it is, then does what its first argument says.
CHILD = """
echo "$JAX_PROCESS_ID of $JAX_NUM_PROCESSES, device $JAX_LOCAL_DEVICE_IDS"
echo "$JAX_COORDINATOR_ADDRESS"
case $1 in
end) exit 0 ;;
fail) ((JAX_PROCESS_ID == 1)) && exit 7; trap 'exit 143' TERM ;;
stay) trap '' TERM ;;
*) trap 'exit 143' TERM ;;
esac
trap 'exit 130' INT
touch "$HOME/ready-$JAX_PROCESS_ID"
while sleep 0.05; do :; done
"""


@pytest.fixture(autouse=True)
def not_ignored():
  """What is ignored from the start, as in a background job, no script traps."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


def start(home, *words, **environment):
  return subprocess.Popen(
    [SCRIPT, *words],
    env={**os.environ, **environment, "HOME": str(home), "LOG_DIR": str(home)},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def logs(home):
  """What each process said, by the log's name."""
  return {p.stem: p.read_text().splitlines() for p in home.glob("*.log")}


def child(*words):
  return ("bash", "-c", CHILD, "child", *words)


def test_processes_know_each_other(tmp_path):
  process = start(tmp_path, "3", *child("end"))
  out, _ = process.communicate()
  assert process.returncode == 0
  said = logs(tmp_path)
  (address,) = {lines[1] for lines in said.values()}
  assert address.startswith("127.0.0.1:")
  assert {k: lines[0] for k, lines in said.items()} == {
    f"process-{i}": f"{i} of 3, device {i}" for i in range(3)
  }
  assert out.splitlines() == said["process-0"]


@pytest.mark.parametrize("variable", ["NODE", "JOB_COMPLETION_INDEX"])
def test_one_of_several_machines(tmp_path, variable):
  more = {"NODES": "4", "COORDINATOR": "host:1", variable: "2"}
  process = start(tmp_path, "2", *child("end"), **more)
  process.communicate()
  assert process.returncode == 0
  said = logs(tmp_path)
  assert said["process-4"] == ["4 of 8, device 0", "host:1"]
  assert said["process-5"] == ["5 of 8, device 1", "host:1"]


def test_one_that_fails_ends_all(tmp_path):
  process = start(tmp_path, "3", *child("fail"))
  process.communicate()
  assert process.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_all(tmp_path, number):
  process = start(tmp_path, "2", *child("wait"))
  while len(list(tmp_path.glob("ready-*"))) < 2:
    time.sleep(0.02)
  process.send_signal(number)
  process.communicate()
  assert process.returncode == 128 + number


def test_a_closed_terminal_is_passed_on_as_sigterm(tmp_path):
  before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
  process = start(tmp_path, "2", *child("wait"))
  signal.signal(signal.SIGHUP, before)
  while len(list(tmp_path.glob("ready-*"))) < 2:
    time.sleep(0.02)
  process.send_signal(signal.SIGHUP)
  process.communicate()
  assert process.returncode == 128 + signal.SIGTERM


def test_one_that_does_not_end_is_killed(tmp_path):
  process = start(tmp_path, "2", *child("stay"), GRACE="1")
  while len(list(tmp_path.glob("ready-*"))) < 2:
    time.sleep(0.02)
  process.send_signal(signal.SIGTERM)
  process.communicate()
  assert process.returncode == 137


@pytest.mark.parametrize(
  ("words", "environment", "message"),
  [
    (["2"], {}, "usage: local.sh N COMMAND..."),
    (["0", "true"], {}, "N=0 must be a number"),
    (["x", "true"], {}, "N=x must be a number"),
    (["2", "no-such-command"], {}, "no-such-command is not a command"),
    (["2", "true"], {"NODES": "2"}, "must be HOST:PORT of node 0"),
    (["2", "true"], {"NODES": "2", "NODE": "2"}, "must be less than NODES=2"),
    (["2", "true"], {"GRACE": "x"}, "must be numbers"),
  ],
)
def test_what_cannot_be_is_one_line(tmp_path, words, environment, message):
  process = start(tmp_path, *words, **environment)
  _, error = process.communicate()
  assert process.returncode == 2
  (line,) = error.splitlines()
  assert message in line


CONFIG = """
from vit_jax.core import config
from vit_jax.models import vit
from vit_jax.train.experiment import Experiment

def get_config(arg=""):
  c = config.to_config_dict(Experiment(model=vit.Config(
    num_classes=10, image_size=(8, 8), patch_size=(4, 4),
    width=8, depth=1, num_heads=1, mlp_dim=8)))
  c.duration = "2 steps"
  c.data.batch_size = 4
  c.data.train.name = "synthetic:8x8x8x1x10"
  c.data.train.preprocess = "value_range(-1, 1)"
  return c
"""


@pytest.mark.slow
def test_two_processes_train(tmp_path):
  (tmp_path / "config.py").write_text(CONFIG)
  process = start(
    tmp_path,
    *("2", sys.executable, "-m", "vit_jax", "train"),
    f"--config={tmp_path / 'config.py'}",
    f"--workdir={tmp_path / 'run'}",
    **cli.environment(1),
  )
  out, error = process.communicate(timeout=300)
  assert process.returncode == 0, out + error
  assert len(cli.rows(tmp_path / "run/metrics.jsonl")) == 2
  assert "step 2/2" in out
  # Process 1 took part, and left the talking to process 0.
  assert "step 2/2" not in (tmp_path / "process-1.log").read_text()
