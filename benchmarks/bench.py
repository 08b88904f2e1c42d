"""Shared by the benchmarks: a config's real run, a clock, the compiler."""

from collections.abc import Callable
import contextlib
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


class Raised(contextlib.AbstractContextManager):
  """Catches errors by the names of types, where these are not public."""

  def __init__(self, *names: str):
    self.names, self.text = names, ""

  def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
    name = kind.__name__ if kind else ""
    if name in self.names:
      self.text = " ".join(f"{name}: {error}".split())[:200]
    return name in self.names


def compiled(
  f: Callable[..., Any], *args: Any, out_shardings: Any = None
) -> dict[str, Any]:
  """What the compiler says of a function for the devices of its arguments.

  The seconds of the CPU are those of all threads of the process.
  """
  lowered = jax.jit(f, out_shardings=out_shardings).lower(*args)
  wall, cpu = time.perf_counter(), time.process_time()
  with Raised("JaxRuntimeError", "MosaicError") as raised:
    program = lowered.compile()
  if raised.text:
    return {"failed": raised.text}
  row = {
    "compile_s": round(time.perf_counter() - wall, 1),
    "compile_cpu_s": round(time.process_time() - cpu, 1),
  }
  memory, cost = program.memory_analysis(), program.cost_analysis()
  return {
    **row,
    "temporaries_mib": round(memory.temp_size_in_bytes / 2**20, 1),
    "peak_mib": round(memory.peak_memory_in_bytes / 2**20, 1),
    "gb_accessed": round(cost["bytes accessed"] / 1e9, 3),
    "optimal_ms": round(1e3 * cost.get("optimal_seconds", 0.0), 3),
  }
