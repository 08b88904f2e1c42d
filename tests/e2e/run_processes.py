"""One of several processes that train on several meshes, one after the other.

usage: run_processes.py ADDRESS PROCESSES PROCESS MODEL STEPS DATA_DIR OUT
   or: run_processes.py table DATA_DIR OUT, every model's losses as 1, 2 and 4

Each run's workdir is OUT/MESH. Process 0 prints JSON: for each mesh the hash
of each of the first batches as the step got it, gathered from all devices,
and the bytes of the state on each device of this process.
"""

import dataclasses
import hashlib
import json
import pathlib
import sys

from jax.experimental import multihost_utils
import numpy as np

from tests.e2e import run as cli, tiny
from vit_jax.cluster import lifeline, processes
from vit_jax.core import config as config_lib, tree
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


def main(model, steps, data_dir, out):
  build = setup.build
  found = {}
  for mesh in MESHES:
    found[mesh] = {"batches": []}
    setup.build = watch(build, found[mesh])
    config = config_lib.load(
      tiny.__file__, f"steps={steps},dropout=0.0,model={model}"
    )
    config.runtime.data_dir = data_dir
    config.runtime.mesh = mesh
    config.runtime.save_every = "100 %"
    config.evals.test.every = "100 %"
    loop.train(config, str(pathlib.Path(out) / mesh))
  if processes.is_first():
    print(json.dumps(found))


def launch(count, data_dir, out, model="vit", steps=20, timeout_s=300):
  """Runs all meshes on four devices of so many processes; what 0 printed."""
  script = [sys.executable, __file__, cli.free_address(), str(count)]
  started = [
    cli.popen(
      [*script, str(i), model, str(steps), str(data_dir), str(out)], 4 // count
    )
    for i in range(count)
  ]
  done = cli.wait(started, timeout_s)
  assert [p.returncode for p in done] == [0] * count, done[0].stderr
  return json.loads(done[0].stdout.splitlines()[-1])


def table(data_dir, out):
  """Every model on every mesh as Markdown: losses and bytes a device."""
  print(
    "| model | mesh | loss at 1, 25, 50 (1 x 4) | 2 x 2 off by | 4 x 1 off by"
    " | gradients at 1 | bytes of parameters per device |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
  )
  for model in tiny.MODELS:
    folder = pathlib.Path(out) / model
    found = {
      count: launch(count, data_dir, folder / str(count), model, STEPS, 3600)
      for count in LAYOUTS
    }
    for mesh in MESHES:
      print(_row(model, mesh, folder, found), flush=True)


def _row(model, mesh, folder, found):
  one, *many = (
    cli.rows(folder / str(count) / mesh / "metrics.jsonl") for count in LAYOUTS
  )
  assert [len(one), *map(len, many)] == [STEPS] * 3
  batches = [found[count][mesh]["batches"] for count in LAYOUTS]
  assert batches == batches[:1] * 3
  losses = ", ".join(f"{one[step - 1]['loss']:.6f}" for step in (1, 25, 50))
  off = [_off(one, rows, "loss") for rows in many]
  grads = max(_off(one[:1], rows[:1], "l2_grads") for rows in many)
  (size,) = {tuple(found[count][mesh]["bytes"]["params"]) for count in LAYOUTS}
  (whole,) = found[1][MESHES[0]]["bytes"]["params"]
  bytes_ = f"{', '.join(map(str, size))} of {whole}"
  return (
    f"| {model} | `{mesh}` | {losses} | {off[0]:.0e} | {off[1]:.0e} |"
    f" {grads:.0e} | {bytes_} |"
  )


def _off(ours, theirs, key):
  """The largest relative difference."""
  pairs = zip(ours, theirs, strict=True)
  return max(abs(b[key] / a[key] - 1) for a, b in pairs)


if __name__ == "__main__":
  if sys.argv[1] == "table":
    table(*sys.argv[2:])
  else:
    address, count, index, *rest = sys.argv[1:]
    if int(count) > 1:
      lifeline.connect(address, int(count), int(index))
    main(*rest)
