"""One of two processes that share a run; started by test_two_processes.py.

usage: run_two_processes.py DIRECTORY PORT PROCESS
"""

import json
import logging
import os
import pathlib
import sys

import jax
from jax.experimental import multihost_utils
import numpy as np

from vit_jax.checkpoints import run_checkpoints
from vit_jax.core import errors, mesh


def state_at(step, on):
  """Rows split over all devices of both processes, and a replicated key."""
  rows = np.arange(32.0, dtype=np.float32).reshape(8, 4) + step
  split = jax.sharding.NamedSharding(on, jax.sharding.PartitionSpec("fsdp"))
  return {
    "rows": jax.make_array_from_callback((8, 4), split, lambda i: rows[i]),
    "rng": jax.jit(jax.random.key, out_shardings=mesh.replicated(on))(step),
  }


def target_of(state):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
  )


def run(directory: pathlib.Path) -> dict:
  on = mesh.make(mesh.MeshShape(data=1, fsdp=4))
  seen = {}
  with run_checkpoints.Checkpointer(directory, keep=2) as checkpointer:
    seen["before"] = checkpointer.latest()
    for step in (1, 2, 3):
      checkpointer.save(step, state_at(step, on), {"at": step})
    seen["saved"] = checkpointer.latest()
    if jax.process_index() == 0:
      path = next((directory / "3" / "state" / "d").iterdir())
      path.write_bytes(path.read_bytes()[:-1])
    multihost_utils.sync_global_devices("damaged")
    seen["damaged"] = checkpointer.latest()
    got, seen["meta"] = checkpointer.restore(2, target_of(state_at(0, on)))
    seen["rows"] = [
      [float(x) for x in shard.data.ravel()]
      for shard in got["rows"].addressable_shards
    ]
    seen["rng"] = jax.random.key_data(got["rng"]).tolist()
    checkpointer.save(3, state_at(33, on), {"at": 33})
    seen["again"] = checkpointer.latest()
    if jax.process_index() == 0:
      (directory / "4").write_text("in the way")
    try:
      checkpointer.save(4, state_at(4, on), {})
    except errors.CheckpointError as e:
      seen["error"] = str(e)
    seen["opened"] = run_checkpoints.open_step(directory).name
    if jax.process_index() == 0:
      write = run_checkpoints.manifest.write

      def full(*_):
        raise OSError(28, "No space left on device")

      run_checkpoints.manifest.write = full
    checkpointer.save(5, state_at(5, on), {})
    try:
      checkpointer.wait()
    except errors.CheckpointError as e:
      seen["late"] = str(e)
    if jax.process_index() == 0:
      run_checkpoints.manifest.write = write
    checkpointer.save(5, state_at(5, on), {})
  return seen


if __name__ == "__main__":
  directory, port, process = sys.argv[1:]
  logging.disable(logging.WARNING)
  os.environ["JAX_PLATFORMS"] = "cpu"
  jax.config.update("jax_num_cpu_devices", 2)
  jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(process))
  print(json.dumps(run(pathlib.Path(directory))), flush=True)
  jax.distributed.shutdown()
