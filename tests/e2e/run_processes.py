"""One of several processes that train on several meshes, one after the other.

usage: run_processes.py ADDRESS PROCESSES PROCESS DATA_DIR OUT
   or: run_processes.py table DATA_DIR OUT, the losses of 1, 2 and 4 processes

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

from tests.e2e import run as cli, tiny
from vit_jax.core import config as config_lib, processes, tree
from vit_jax.train import loop, setup

MESHES = ("data=4", "data=1,fsdp=4", "data=2,tensor=2")
LAYOUTS = (1, 2, 4)
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


def main(data_dir, out):
  build = setup.build
  found = {}
  for mesh in MESHES:
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


def launch(count, data_dir, out):
  """Runs all meshes on four devices of so many processes; what 0 printed."""
  script = [sys.executable, __file__, cli.free_address(), str(count)]
  done = cli.wait(
    cli.popen([*script, str(i), str(data_dir), str(out)], 4 // count)
    for i in range(count)
  )
  assert [p.returncode for p in done] == [0] * count, done[0].stderr
  return json.loads(done[0].stdout.splitlines()[-1])


def table(data_dir, out):
  """Losses side by side as Markdown."""
  for count in LAYOUTS:
    launch(count, data_dir, pathlib.Path(out) / str(count))
  for mesh in MESHES:
    rows = [
      cli.rows(pathlib.Path(out) / str(count) / mesh / "metrics.jsonl")
      for count in LAYOUTS
    ]
    print(
      f"\n`{mesh}`\n\n| step | 1 x 4 | 2 x 2 | 4 x 1 | largest difference |"
    )
    print("| --- | --- | --- | --- | --- |")
    for i in [*range(0, STEPS, 10), STEPS - 1]:
      losses = [r[i]["loss"] for r in rows]
      off = max(abs(x / losses[0] - 1) for x in losses)
      shown = " | ".join(f"{x:.7f}" for x in losses)
      print(f"| {i + 1} | {shown} | {off:.1e} |")


if __name__ == "__main__":
  if sys.argv[1] == "table":
    table(*sys.argv[2:])
  else:
    address, count, index, data_dir, out = sys.argv[1:]
    if int(count) > 1:
      jax.distributed.initialize(address, int(count), int(index))
    main(data_dir, out)
