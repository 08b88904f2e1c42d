"""Saves that are killed, and a disk that is full, in processes of their own."""

import pathlib
import random
import subprocess
import sys
import time

import jax
import numpy as np

from tests.checkpoints import run_saver
from vit_jax.checkpoints import run_checkpoints, steps

_ROOT = pathlib.Path(__file__).parents[2]


def _start(directory, what):
  return subprocess.Popen(
    [sys.executable, run_saver.__file__, str(directory), what],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    cwd=_ROOT,
    env={"PYTHONPATH": str(_ROOT), "JAX_PLATFORMS": "cpu"},
  )


def test_kill_9_at_any_moment_leaves_the_latest_good_one(tmp_path):
  delay = random.Random(0)
  seen = 0
  for _ in range(3):
    process = _start(tmp_path, "steps")
    called = [int(process.stdout.readline()) for _ in range(3)]
    # It went on from what was there.
    assert called[0] == seen + 1
    time.sleep(delay.uniform(0, 0.3))
    process.kill()
    out, _ = process.communicate()
    called += map(int, out.split())
    with run_checkpoints.Checkpointer(tmp_path, keep=3) as checkpointer:
      step = checkpointer.latest()
      # Each call waits for the save before it; the one that was running may
      # have come to its end without a word.
      assert called[-1] - 1 <= step <= called[-1] + 1
      want = run_saver.state_at(step)
      target = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
        want,
      )
      for good in steps.finished(tmp_path):
        got, meta = checkpointer.restore(good, target)
        assert meta == {"step": good}
        jax.tree.map(
          np.testing.assert_array_equal, got, run_saver.state_at(good)
        )
      # Retention removes only what a newer good one replaces.
      assert len(steps.finished(tmp_path)) >= min(step, 3)
    seen = step


def test_a_full_disk_is_one_line_and_costs_nothing_that_was_there(tmp_path):
  out, log = _start(tmp_path, "full").communicate()
  error, latest, after = out.splitlines()
  assert error == (
    f"{tmp_path}: cannot save step 2: File too large; free space there or make"
    " it writable, then run again (last good checkpoint: step 1)"
  )
  assert (latest, after) == ("1", "2")
  # Orbax's own long account of it is not shown.
  assert "/orbax/" not in log
  # The failed attempt is out of the way and still there.
  assert [p.name for p in (tmp_path / "damaged").iterdir()] == ["2-1"]
