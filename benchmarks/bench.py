"""Shared by the benchmarks: the real run of a config, and a clock."""

from collections.abc import Callable
import pathlib
import time
from typing import Any

import jax

from vit_jax.core import config as config_lib, mesh as mesh_lib
from vit_jax.data import pipeline
from vit_jax.train import experiment as experiment_lib, setup

VIT_S16 = str(pathlib.Path(__file__).parent / "vit_s16.py")
BATCH = 16


def prepare(config: config_lib.ConfigDict) -> tuple[setup.Run, Any]:
  """The run of a config, and a batch on its devices."""
  experiment = config_lib.build(experiment_lib.Experiment, config)
  inputs = experiment_lib.open_inputs(experiment)
  run = setup.build(experiment, inputs)
  batch = pipeline.train_batches(
    inputs.train,
    experiment.data.train.preprocess,
    batch_size=experiment.data.batch_size,
    seed=0,
    num_steps=1,
  )[0]
  del batch["id"]
  return run, mesh_lib.put_batch(run.mesh, batch)


def seconds(f: Callable[..., Any], *args: Any) -> tuple[float, Any]:
  """Wall time of a call until its result is ready, and the result."""
  start = time.perf_counter()
  out = jax.block_until_ready(f(*args))
  return time.perf_counter() - start, out
