"""What docs/adr 0001, 0002, 0009 and 0010 rest on, with the installed JAX.

Attention and stacked blocks are compiled for TPUs that are not there; facts
about shardings and the cost of dispatch are those of the CPU. Each part is a
file beside this one and runs in a process of its own. Before variants are
compared, all of them are shown to compute the same.

usage: python -m benchmarks.decisions [--only=PART] [--out=FILE]
"""

import argparse
import importlib
import importlib.metadata
import json
import pathlib
import re
import subprocess
import sys

from vit_jax.cli import tpu

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "results/benchmarks/decisions.jsonl"
PARTS = "sharding_facts", "nnx_dispatch", "attention_kernels", "block_layouts"
PACKAGES = "jax", "flax", "libtpu"


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--only", choices=PARTS)
  parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
  args = parser.parse_args()
  if not args.only:
    for part in PARTS:
      argv = [sys.executable, "-m", "benchmarks.decisions", f"--only={part}"]
      subprocess.run([*argv, f"--out={args.out}"], check=True)
    return
  tpu.compile_only()
  part = importlib.import_module(f"benchmarks.{args.only}")
  cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
  machine = {p: importlib.metadata.version(p) for p in PACKAGES}
  machine["processor"] = re.findall(r"model name\s*: (.*)", cpuinfo)[0]
  for row in part.rows():
    row = {"part": args.only, **row, **machine}
    with args.out.open("a") as f:
      f.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
  main()
