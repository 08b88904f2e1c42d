"""Speed of the training loop relative to the bare step.

ViT-S/16, 224 px, batch 16, float32: medians of bare steps before and after the
loop, in one process, so that a drift of the machine's speed cancels. The loop
is complete: reading, metrics, progress, TensorBoard.

usage: python -m benchmarks.loop [--steps=12]
"""

import argparse
import itertools
import json
import pathlib
import statistics
import tempfile

from benchmarks import bench
from vit_jax.cli import cpu
from vit_jax.core import config as config_lib
from vit_jax.train import loop


def bare(run, batch, steps):
  state = run.init()
  times = []
  for _ in range(steps + 1):
    took, (state, _) = bench.seconds(run.step, state, batch)
    times.append(took)
  return times[1:]


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--steps", type=int, default=12)
  args = parser.parse_args()
  cpu.keep_memory()
  config = config_lib.load(bench.VIT_S16, f"steps={args.steps}")
  run, batch = bench.prepare(config)
  before = bare(run, batch, args.steps // 2)
  with tempfile.TemporaryDirectory() as workdir:
    loop.train(config, workdir)
    lines = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
  after = bare(run, batch, args.steps // 2)
  stamps = [json.loads(line)["time_s"] for line in lines]
  # The first step compiles.
  looped = [b - a for a, b in itertools.pairwise(stamps[1:])]
  bare_s = statistics.median(before + after)
  loop_s = statistics.median(looped)
  result = {
    "share_of_bare_step": round(bare_s / loop_s, 3),
    "bare_step_s": round(bare_s, 3),
    "loop_step_s": round(loop_s, 3),
    **vars(args),
  }
  print(json.dumps(result))


if __name__ == "__main__":
  main()
