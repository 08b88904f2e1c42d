"""The batch script's decisions; Slurm itself is in results/slurm."""

import subprocess

import pytest

from tests.launch import commands

BODY = """
if name == "srun":
  sys.exit(int(os.environ["CODE"]))
if name == "squeue":
  print(os.environ["STATE"])
"""
SCRIPT = str(commands.LAUNCH / "slurm/train.sbatch")


def run(home, code, state="RUNNING", restarts="0", arguments=("--workdir=x",)):
  names = ("srun", "squeue", "scontrol", "sleep")
  env = {
    **commands.fake(home, BODY, *names),
    "CODE": str(code),
    "STATE": state,
    "SLURM_RESTART_COUNT": restarts,
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "2",
    "SLURM_NODELIST": "n[1-2]",
    "MAX_RESTARTS": "3",
    "PYTHON": "py",
  }
  return subprocess.run(
    ["bash", SCRIPT, *arguments],
    env=env,
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.mark.parametrize(
  ("code", "state", "restarts", "requeued"),
  [
    (0, "RUNNING", "0", False),
    (1, "RUNNING", "0", False),
    (2, "RUNNING", "0", False),
    # Preempted or out of time: always.
    (143, "RUNNING", "0", True),
    (143, "RUNNING", "99", True),
    # Cancelled by somebody, or requeued by Slurm already.
    (143, "CANCELLED", "0", False),
    (143, "COMPLETING", "0", False),
    # A peer was killed: a few times.
    (137, "RUNNING", "2", True),
    (75, "RUNNING", "2", True),
    (75, "RUNNING", "10", False),
    (134, "RUNNING", "3", False),
  ],
)
def test_requeues_what_is_worth_it(tmp_path, code, state, restarts, requeued):
  done = run(tmp_path, code, state, restarts)
  assert done.returncode == code
  asked = ["scontrol", "requeue", "7"] in commands.calls(tmp_path)
  assert asked == requeued, done.stdout


def test_arguments_arrive_whole(tmp_path):
  run(tmp_path, 0, arguments=("--config=a b", "--workdir=x"))
  (srun,) = (c for c in commands.calls(tmp_path) if c[0] == "srun")
  start = srun.index("py")
  assert srun[start:] == [
    *("py", "-m", "vit_jax", "train"),
    *("--config=a b", "--workdir=x"),
  ]


def test_without_arguments_it_is_a_usage_error(tmp_path):
  done = run(tmp_path, 0, arguments=())
  assert done.returncode == 2
  assert done.stderr.startswith("usage: sbatch")
