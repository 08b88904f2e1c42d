"""Speed of the real train step, relative to a large matmul.

ViT-S/16, 224 px, batch 16, float32. Our step, 2048^3 float32 matmuls and the
step of the same model from Flax's stock modules take turns in one process; the
results are medians. 27.7 GFLOP per image are the forward and backward pass (3 x
2 x 4.6 GMAC).

usage: python -m benchmarks.step_time [--rounds=7] [--unroll=N] [--remat=KIND]
"""

import argparse
import json
import statistics

import jax
import numpy as np

from benchmarks import bench, stock_flax
from vit_jax.cli import cpu
from vit_jax.core import config as config_lib

GFLOP_PER_IMAGE = 27.7
SIDE = 2048


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument("--unroll", type=int, default=1)
  parser.add_argument("--remat", default="none")
  args = parser.parse_args()
  cpu.keep_memory()
  knobs = {"runtime.unroll": args.unroll, "runtime.remat": args.remat}
  run, batch = bench.prepare(config_lib.load(bench.VIT_S16, overrides=knobs))
  state = run.init()
  compile_s, step = bench.seconds(
    lambda: run.step.lower(state, batch).compile()
  )
  square = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
  square = jax.device_put(square)
  matmul = jax.jit(jax.numpy.matmul).lower(square, square).compile()
  images = np.random.default_rng(1).random((bench.BATCH, 224, 224, 3), "f4")
  stock, stock_state = stock_flax.make(images, batch["label"])
  steps, matmuls, stocks = [], [], []
  for _ in range(args.rounds):
    took, (state, _) = bench.seconds(step, state, batch)
    steps.append(took)
    matmuls += [bench.seconds(matmul, square, square)[0] for _ in range(5)]
    took, (stock_state, _) = bench.seconds(
      stock, stock_state, images, batch["label"]
    )
    stocks.append(took)
  # The first round warms the caches.
  step_s = statistics.median(steps[1:])
  stock_s = statistics.median(stocks[1:])
  step_rate = GFLOP_PER_IMAGE * bench.BATCH / step_s
  matmul_rate = 2 * SIDE**3 / 1e9 / statistics.median(matmuls[5:])
  result = {
    "share_of_matmul": round(step_rate / matmul_rate, 3),
    "speed_of_stock_flax": round(stock_s / step_s, 3),
    "stock_flax_share_of_matmul": round(
      GFLOP_PER_IMAGE * bench.BATCH / stock_s / matmul_rate, 3
    ),
    "step_gflops": round(step_rate, 1),
    "matmul_gflops": round(matmul_rate, 1),
    "step_s": [round(s, 3) for s in sorted(steps[1:])],
    "images_per_s": round(bench.BATCH / step_s, 2),
    "compile_s": round(compile_s, 1),
    "temp_mib": step.memory_analysis().temp_size_in_bytes >> 20,
    **vars(args),
  }
  print(json.dumps(result))


if __name__ == "__main__":
  main()
