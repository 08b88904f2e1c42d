"""One of several processes that train on several meshes, one after the other.

usage: run_processes.py ADDRESS PROCESSES PROCESS DATA_DIR OUT MESH...

Each run's workdir is OUT/MESH. Process 0 prints JSON: for each mesh the hash
of each of the first batches as the step got it, gathered from all devices,
and the bytes of the state on each device of this process.
"""

import dataclasses
import hashlib
import json
import pathlib
import sys

import jax
from jax.experimental import multihost_utils
import numpy as np

from tests.e2e import tiny
from vit_jax.core import config as config_lib, processes, tree
from vit_jax.train import loop, setup

STEPS = 50
WATCHED = 4


def digest(batch):
  """Of the global batch, from every process's part of it."""
  sha = hashlib.sha256()
  for name, value in sorted(batch.items()):
    whole = multihost_utils.process_allgather(value, tiled=True)
    sha.update(f"{name}{whole.shape}{whole.dtype}".encode())
    sha.update(np.ascontiguousarray(whole).tobytes())
  return sha.hexdigest()


def local_bytes(state):
  """Bytes on each device of this process, of parameters and of moments."""
  sizes = {}
  for part in ("params", "opt_state"):
    for leaf in tree.flatten(getattr(state, part)).values():
      for shard in leaf.addressable_shards:
        by_device = sizes.setdefault(part, {})
        device = shard.device.id
        by_device[device] = by_device.get(device, 0) + shard.data.nbytes
  return {part: sorted(set(found.values())) for part, found in sizes.items()}


def watch(build, seen):
  """`setup.build`, whose step notes what it is called with."""

  def watched(*args):
    run = build(*args)

    def step(state, batch):
      if len(seen["batches"]) < WATCHED:
        seen["batches"].append(digest(batch))
        seen["bytes"] = local_bytes(state)
      return run.step(state, batch)

    return dataclasses.replace(run, step=step)

  return watched


def main(data_dir, out, meshes):
  build = setup.build
  found = {}
  for mesh in meshes:
    found[mesh] = {"batches": []}
    setup.build = watch(build, found[mesh])
    config = config_lib.load(tiny.__file__, f"steps={STEPS},dropout=0.0")
    config.runtime.data_dir = data_dir
    config.runtime.mesh = mesh
    config.runtime.save_every = "100 %"
    config.evals.test.every = "100 %"
    loop.train(config, str(pathlib.Path(out) / mesh))
  if processes.is_first():
    print(json.dumps(found))


if __name__ == "__main__":
  address, count, index, data_dir, out, *meshes = sys.argv[1:]
  if int(count) > 1:
    jax.distributed.initialize(address, int(count), int(index))
  main(data_dir, out, meshes)
