"""Saves that are killed, and a disk that is full, in processes of their own."""

import pathlib
import random
import subprocess
import sys
import time

import jax
import numpy as np

from tests.checkpoints import run_saver
from vit_jax.checkpoints import native, steps

_ROOT = pathlib.Path(__file__).parents[2]


def _start(directory, what):
  return subprocess.Popen(
    [sys.executable, run_saver.__file__, str(directory), what],
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
    cwd=_ROOT,
    env={"PYTHONPATH": str(_ROOT), "JAX_PLATFORMS": "cpu"},
  )


def test_kill_9_at_any_moment_leaves_the_latest_good_one(tmp_path):
  delay = random.Random(0)
  seen = 0
  for _ in range(4):
    process = _start(tmp_path, "steps")
    first = int(process.stdout.readline())
    # It went on from what was there.
    assert first == seen + 1
    time.sleep(delay.uniform(0, 0.4))
    process.kill()
    called = [first, *map(int, process.stdout.read().split())]
    process.wait()
    process.stdout.close()
    with native.Checkpointer(tmp_path, keep=3) as checkpointer:
      step = checkpointer.latest()
      # The last call may have been cut short, the one before it was waited
      # for; and save() may have begun to be followed by another one.
      assert step in range(max(called[-1] - 1, seen), called[-1] + 2)
      if not step:
        continue
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
  assert seen >= 4


def test_a_full_disk_is_one_line_and_costs_nothing_that_was_there(tmp_path):
  out, _ = _start(tmp_path, "full").communicate()
  error, latest, after = out.splitlines()
  assert error == (
    f"{tmp_path}: cannot save step 2: File too large; free space there or make"
    " it writable, then run again (last good checkpoint: step 1)"
  )
  assert (latest, after) == ("1", "2")
  # The failed attempt is out of the way and still there.
  assert [p.name for p in (tmp_path / "damaged").iterdir()] == ["2-1"]
