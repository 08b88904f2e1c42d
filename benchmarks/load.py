"""Time and memory to load ViT-B/16 from files of each format.

The weights are random. Each file is loaded in its own process, after the
imports; memory is the growth of the resident set beyond the parameters, divided
by the size of the file.

usage: python -m benchmarks.load
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np

from vit_jax import checkpoints, models
from vit_jax.core import tree

FORMATS = {"npz": "weights.npz", "timm": "timm", "hf": "hf"}


def write(folder: pathlib.Path) -> None:
  """ViT-B/16 with random weights in each format."""
  model = models.create("vit", variant="B/16")
  images = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda s: rng.standard_normal(s.shape, np.float32), shapes
  )
  loaded = checkpoints.Loaded(
    model,
    params,
    {},
    "",
    checkpoints.Report(()),
    "decode|resize(224)|value_range(-1, 1)",
  )
  for to, name in FORMATS.items():
    checkpoints.save(loaded, to, folder / name)


def resident_bytes() -> int:
  return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(path: str) -> None:
  """Loads one file in this process and prints its time and memory."""
  # Starting the backend is not measured.
  jax.devices()
  before = resident_bytes()
  start = time.perf_counter()
  loaded = checkpoints.load(path)
  took = time.perf_counter() - start
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  size = sum(array.nbytes for array in tree.flatten(loaded.params).values())
  found = {"seconds": took, "peak_bytes": peak - before, "params_bytes": size}
  print(json.dumps(found))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--measure", metavar="PATH", help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.measure:
    measure(args.measure)
    return
  with tempfile.TemporaryDirectory() as folder:
    write(pathlib.Path(folder))
    for to, name in FORMATS.items():
      place = pathlib.Path(folder) / name
      file = place / "model.safetensors" if place.is_dir() else place
      out = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", f"--measure={place}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
      )
      found = json.loads(out.stdout)
      above = found["peak_bytes"] - found["params_bytes"]
      row = {
        "format": to,
        "file_bytes": file.stat().st_size,
        "seconds": round(found["seconds"], 2),
        "memory_above_parameters_over_file": round(
          above / file.stat().st_size, 3
        ),
      }
      print(json.dumps(row))


if __name__ == "__main__":
  main()
