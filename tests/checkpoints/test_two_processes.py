"""Two processes (gloo, two CPU devices each) share one run; one resumes it."""

import json
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np

from tests.checkpoints import run_two_processes
from vit_jax.checkpoints import run_checkpoints, steps
from vit_jax.core import mesh

_ROOT = pathlib.Path(__file__).parents[2]


def _run(directory):
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
  script = run_two_processes.__file__
  started = [
    subprocess.Popen(
      [sys.executable, script, str(directory), str(port), str(i)],
      stdout=subprocess.PIPE,
      text=True,
      cwd=_ROOT,
      env={"PYTHONPATH": str(_ROOT), "JAX_PLATFORMS": "cpu"},
    )
    for i in range(2)
  ]
  try:
    out = [process.communicate(timeout=90)[0] for process in started]
  finally:
    for process in started:
      process.kill()
  assert [process.returncode for process in started] == [0, 0]
  return [json.loads(text.splitlines()[-1]) for text in out]


def test_two_processes_agree_and_one_resumes(tmp_path):
  first, second = _run(tmp_path)
  rows = np.arange(32.0).reshape(4, 8) + 2
  assert first.pop("rows") == rows[:2].tolist()
  assert second.pop("rows") == rows[2:].tolist()
  assert first == second
  error, late = first.pop("error"), first.pop("late")
  assert first == {
    "before": None,
    "saved": 3,
    "damaged": 2,
    "meta": {"at": 2},
    "rng": [0, 2],
    "again": 3,
    "opened": "3",
  }
  assert "cannot save step 4: 4 is not a checkpoint" in error
  assert "cannot save step 5: No space left on device" in late
  # keep=2; the first attempts at 3 and 5 are aside.
  assert steps.finished(tmp_path) == [3, 5]
  aside = {p.name for p in (tmp_path / "damaged").iterdir()}
  assert aside == {"3-1", "5-1"}
  # One process with eight devices goes on.
  on = mesh.make(mesh.MeshShape(data=2, fsdp=4))
  want = run_two_processes.state_at(5, on)
  with run_checkpoints.Checkpointer(tmp_path, keep=2) as checkpointer:
    target = run_two_processes.target_of(want)
    got, _ = checkpointer.restore(checkpointer.latest(), target)
  np.testing.assert_array_equal(got["rows"], want["rows"])
  assert (jax.random.key_data(got["rng"]) == np.asarray([0, 5])).all()
