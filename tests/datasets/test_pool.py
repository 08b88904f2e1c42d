"""Processes that write shards, and how they end."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.datasets import (
  listed,
  write,
)


def test_a_worker_that_is_killed(root, small_shards, tmp_path, monkeypatch):
  trees.write(root, {"ant/last.png": trees.png(5)})
  made = listed.folder(str(root), "photos", "1.0.0", str(tmp_path), "raise")
  with pytest.raises(errors.DataError, match="was killed"):
    write.write(dataclasses.replace(made, read=_die), workers=2)


def test_ctrl_c_ends_all_processes(root, small_shards, tmp_path):
  """As at a terminal: the signal goes to the whole group."""
  trees.write(root, {f"ant/{i}.png": trees.png(i) for i in range(1000, 1400)})
  code = (
    "import sys, time\n"
    "from vit_jax.datasets import planned\n"
    "from vit_jax.cli import main\n"
    "planned._SHARD_BYTES = 3000\n"
    "planned._LEAST_ITEMS = 8\n"
    "if __name__ == '__main__':\n"
    "  sys.exit(main.main(sys.argv[1:]))\n"
  )
  script = tmp_path / "script.py"
  script.write_text(code)
  with subprocess.Popen(
    [
      sys.executable,
      str(script),
      "data",
      "prepare",
      f"folder:{root}",
      "--out=photos",
      "--workers=2",
      f"--data_dir={tmp_path}",
    ],
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  ) as process:
    summary, plan = (process.stderr.readline() for _ in range(2))
    assert "500 examples of 3 classes" in summary
    assert "(45 to be written)" in plan
    # While the workers start, which is when they are easily hurt.
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=30)[1]
  assert process.returncode == 130
  assert said.splitlines()[-1].startswith("Interrupted: interrupted; finished")
  assert "Traceback" not in said
  # Python's own resource tracker notices a little later.
  end = time.monotonic() + 10
  with pytest.raises(ProcessLookupError):
    while time.monotonic() < end:
      os.killpg(process.pid, 0)
      time.sleep(0.05)


def _die(item):
  os.kill(os.getpid(), signal.SIGKILL)
