"""Time of a few-shot evaluation, given the features.

50,000 test features of width 1,024, 1,000 classes x 10 shots, the default
penalties: all of `evals.fewshot.evaluate`, including the choice of the penalty
on held-out examples. Features are noise around a centre for each class.

usage: python -m benchmarks.fewshot [--seeds=3]
"""

import argparse
import json
import os
import time

import numpy as np

from vit_jax.evals import fewshot

CLASSES, WIDTH, TEST, SHOTS = 1000, 1024, 50_000, 10


def features(count: int, centres: np.ndarray, seed: int):
  """Features and labels in the form in which an evaluator gets them."""
  rng = np.random.default_rng(seed)
  label = np.arange(count, dtype=np.int32) % CLASSES
  noise = rng.standard_normal((count, WIDTH), np.float32)
  return {"feature": centres[label] + 6 * noise, "label": label}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--seeds", type=int, default=fewshot.Config.seeds)
  seeds = parser.parse_args().seeds
  centres = np.random.default_rng(0).standard_normal(
    (CLASSES, WIDTH), np.float32
  )
  config = fewshot.Config(shots=(SHOTS,), seeds=seeds)
  per_class = SHOTS + config.held_out(SHOTS)
  train = features(CLASSES * per_class, centres, 1)
  test = features(TEST, centres, 2)
  start, cpu = time.perf_counter(), time.process_time()
  scores = fewshot.evaluate(config, train, test, CLASSES)
  row = {
    "test_features": TEST,
    "width": WIDTH,
    "classes": CLASSES,
    "shots": SHOTS,
    "seeds": seeds,
    "penalties": len(config.penalties),
    "seconds": round(time.perf_counter() - start, 2),
    "cpu_seconds": round(time.process_time() - cpu, 2),
    "accuracy": scores[f"{SHOTS}_shot"],
    "cpus": os.cpu_count(),
  }
  print(json.dumps(row))


if __name__ == "__main__":
  main()
