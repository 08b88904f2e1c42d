"""Speed of the real train step, as a share of a large matmul's.

ViT-S/16, 224 px, batch 16, float32. Steps and 2048^3 float32 matmuls take
turns in one process; medians. 27.7 GFLOP an image is the forward and backward
pass (3 x 2 x 4.6 GMAC).

usage: python benchmarks/step_time.py [--rounds=7] [--config.KEY=VALUE ...]
"""

import argparse
import json
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.core import config as config_lib, mesh as mesh_lib
from vit_jax.data import pipeline
from vit_jax.train import experiment as experiment_lib, setup

GFLOP_PER_IMAGE = 27.7
BATCH = 16
SIDE = 2048


def seconds(f, *args):
  start = time.perf_counter()
  out = jax.block_until_ready(f(*args))
  return time.perf_counter() - start, out


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument("--unroll", type=int, default=1)
  parser.add_argument("--remat", default="none")
  args = parser.parse_args()
  config = config_lib.load(
    "benchmarks/vit_s16.py",
    overrides={
      "runtime.unroll": args.unroll,
      "runtime.remat": args.remat,
    },
  )
  experiment = config_lib.build(experiment_lib.Experiment, config)
  inputs = experiment_lib.open_inputs(experiment)
  run = setup.build(experiment, inputs)
  batches = pipeline.train_batches(
    inputs.train,
    experiment.data.train.preprocess,
    batch_size=BATCH,
    seed=0,
    num_steps=1,
  )
  batch = dict(batches[0])
  batch.pop("id")
  batch = mesh_lib.put_batch(run.mesh, batch)
  state = run.init()
  start = time.perf_counter()
  step = run.step.lower(state, batch).compile()
  compile_s = time.perf_counter() - start
  square = jnp.asarray(np.random.default_rng(0).random((SIDE, SIDE), "float32"))
  matmul = jax.jit(jnp.matmul)
  jax.block_until_ready(matmul(square, square))
  steps, matmuls = [], []
  for _ in range(args.rounds):
    took, (state, _) = seconds(step, state, batch)
    steps.append(took)
    matmuls += [seconds(matmul, square, square)[0] for _ in range(5)]
  # The first round warms the caches.
  step_s = statistics.median(steps[1:])
  matmul_s = statistics.median(matmuls[5:])
  step_rate = GFLOP_PER_IMAGE * BATCH / step_s
  matmul_rate = 2 * SIDE**3 / 1e9 / matmul_s
  print(
    json.dumps(
      {
        "share_of_matmul": round(step_rate / matmul_rate, 3),
        "step_gflops": round(step_rate, 1),
        "matmul_gflops": round(matmul_rate, 1),
        "step_s": round(step_s, 3),
        "step_s_min_max": [round(min(steps[1:]), 3), round(max(steps[1:]), 3)],
        "images_per_s": round(BATCH / step_s, 2),
        "compile_s": round(compile_s, 1),
        "temp_mib": step.memory_analysis().temp_size_in_bytes >> 20,
        "unroll": args.unroll,
        "remat": args.remat,
      }
    )
  )


if __name__ == "__main__":
  main()
