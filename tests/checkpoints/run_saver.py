"""A process that saves; test_crash.py kills it or lets its disk run full.

usage: run_saver.py DIRECTORY steps|full
"""

import resource
import signal
import sys

import jax
import jax.numpy as jnp

from vit_jax.checkpoints import run_checkpoints
from vit_jax.core import errors


def state_at(step: int) -> dict:
  return {
    "step": jnp.asarray(step, jnp.int32),
    "x": jax.random.normal(jax.random.key(step), (300, 1000)),
    "small": [jnp.full((n,), step, jnp.bfloat16) for n in range(1, 10)],
  }


def save_forever(checkpointer: run_checkpoints.Checkpointer) -> None:
  step = checkpointer.latest() or 0
  while True:
    step += 1
    checkpointer.save(step, state_at(step), {"step": step})
    print(step, flush=True)


def fill_the_disk(checkpointer: run_checkpoints.Checkpointer) -> None:
  checkpointer.save(1, state_at(1), {})
  checkpointer.wait()
  # No file can grow beyond 64 KiB, which is what a full disk does to large
  # ones, and the signal would otherwise end the process.
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
  checkpointer.save(2, state_at(2), {})
  try:
    checkpointer.wait()
  except errors.CheckpointError as e:
    print(e)
  print(checkpointer.latest())
  checkpointer.save(2, {"small": jnp.ones(3)}, {})
  print(checkpointer.latest())


if __name__ == "__main__":
  jax.config.update("jax_platforms", "cpu")
  with run_checkpoints.Checkpointer(sys.argv[1], keep=3) as opened:
    {"steps": save_forever, "full": fill_the_disk}[sys.argv[2]](opened)
