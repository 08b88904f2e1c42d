"""Images/s of each stage of the input pipeline, and the slowest stage."""

from collections.abc import Callable
import dataclasses
import itertools
import os
import statistics
import time
from typing import Any

import jax
import numpy as np

from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.preprocess import op
from vit_jax.preprocess.pipeline import Pipeline

PREPROCESS = (
  "decode|inception_crop(224)|flip_lr|keep('image', 'label')|value_range(-1, 1)"
)
# As many threads as a run uses; see train/experiment.py.
_THREADS = 4
# An example, and the generator of its random ops.
_Drawn = tuple[op.Example, np.random.Generator]


@dataclasses.dataclass(frozen=True)
class Options:
  """How to read the data set.

  `workers` are processes that make batches, 0 for threads of this process.
  `seconds` is how long to measure single stages, and then all of them at once;
  at least two batches each.
  """

  split: str = "train"
  preprocess: Pipeline = Pipeline.parse(PREPROCESS)
  batch_size: int = 64
  workers: int = 0
  seconds: float = 5.0

  def __post_init__(self):
    for name, low in {"batch_size": 1, "workers": 0, "seconds": 0}.items():
      if getattr(self, name) < low:
        raise errors.about(self, f"{{{name}}} must be at least {low}")


def benchmark(
  name: str, data_dir: str = "", options: Options | None = None
) -> dict[str, Any]:
  """Times a data set's input pipeline, training batches in their real order.

  See `base.open_source` for the name and `data_dir`.

  Returns:
    {"name", "split", "batch_size", "workers", "cores", "stages": {stage:
    images/s}, "together": images/s, "bottleneck": stage, "share": of the time
    of an image}. A stage's images/s are measured with one thread that does
    nothing else; "together" is what reaches the device when all run at once.

  Raises:
    ConfigError: no such data set or split, or examples that make no batch.
    DataError: an example cannot be read.
  """
  options = options or Options()
  source = base.open_source(name, options.split, data_dir)
  batches = pipeline.train_batches(
    source,
    options.preprocess,
    batch_size=options.batch_size,
    seed=0,
    num_steps=2**31,
  )
  times = _stages(batches, options.seconds)
  bottleneck = max(times, key=times.__getitem__)
  return {
    "name": name,
    "split": options.split,
    "batch_size": options.batch_size,
    "workers": options.workers,
    "cores": len(os.sched_getaffinity(0)),
    "stages": {stage: 1 / time_s for stage, time_s in times.items()},
    "together": _together(batches, options),
    "bottleneck": bottleneck,
    "share": times[bottleneck] / sum(times.values()),
  }


def text(facts: dict[str, Any]) -> str:
  """The result of `benchmark` as a table."""
  width = max(len(stage) for stage in facts["stages"])
  rows = [
    f"  {stage:<{width}}  {rate:>12,.0f} images/s"
    for stage, rate in facts["stages"].items()
  ]
  readers = (
    f"{facts['workers']} worker processes"
    if facts["workers"]
    else f"{_THREADS} threads of one process"
  )
  return "\n".join(
    [
      f"{facts['name']}, split {facts['split']}, batches of"
      f" {facts['batch_size']}",
      "each stage alone, with one thread:",
      *rows,
      f"together, {readers} on {facts['cores']} cores, to the device:"
      f" {facts['together']:,.0f} images/s",
      f"bottleneck: {facts['bottleneck']}, {facts['share']:.0%} of an image's"
      " time",
    ]
  )


def _stages(batches: pipeline.Batches, seconds: float) -> dict[str, float]:
  """Seconds an image, by stage, as medians over batches."""
  took: dict[str, list[float]] = {}
  compiled = {
    o: jax.jit(o) for o in batches.preprocess.ops if isinstance(o, op.DeviceOp)
  }

  def timed(stage: str, f: Callable[..., Any], *args: Any) -> Any:
    start = time.perf_counter()
    out = f(*args)
    took.setdefault(stage, []).append(time.perf_counter() - start)
    return out

  end = time.perf_counter() + seconds
  for step in itertools.count():
    # The first batch opens files and compiles; it is not counted.
    if step == 1:
      took.clear()
    if step > 2 and time.perf_counter() > end:
      break
    examples = timed("read", _read, batches, step)
    for stage, o in batches.preprocess.host_steps:
      examples = timed(stage, _each, o, examples)
    batch = timed("batch", pipeline.stack, [e for e, _ in examples])
    batch = timed("transfer", _put, batch)
    for o, run in compiled.items():
      batch = timed(str(Pipeline((o,))), _wait, run, batch)
  return {
    stage: statistics.median(times) / batches.batch_size
    for stage, times in took.items()
  }


def _read(batches: pipeline.Batches, step: int) -> list[_Drawn]:
  first = step * batches.batch_size
  return [
    (batches.source[batches.order[g]], np.random.default_rng((0, g)))
    for g in range(first, first + batches.batch_size)
  ]


def _each(o: op.HostOp, examples: list[_Drawn]) -> list[_Drawn]:
  return [(o(example, rng), rng) for example, rng in examples]


def _put(batch: pipeline.Batch) -> dict[str, jax.Array]:
  return jax.block_until_ready(jax.device_put(batch))


def _wait(f: Callable[..., Any], batch: dict[str, jax.Array]) -> Any:
  return jax.block_until_ready(f(batch))


def _together(batches: pipeline.Batches, options: Options) -> float:
  """Images/s that reach the device."""
  stream = pipeline.iterate(
    batches, num_threads=_THREADS, num_workers=options.workers
  )
  device = jax.jit(batches.preprocess.device)
  count = 0
  # Neither batches that were made ahead nor compiling count.
  for batch in itertools.islice(stream, 8):
    _wait(device, _put(batch))
  start = time.perf_counter()
  while count < 2 or time.perf_counter() - start < options.seconds:
    _wait(device, _put(next(stream)))
    count += 1
  took = time.perf_counter() - start
  stream.close()
  return count * options.batch_size / took
