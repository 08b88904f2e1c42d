"""Numbers that take minutes to compute, and the file that they are saved in.

They are the core-days of runs, by the planner's closed forms, and the largest
batch that fits on a TPUv3 core (Figure 12, right), by compiling the real train
step. The file has one line for every core-day and every compilation, so that
nothing is computed twice.
"""

from collections.abc import Iterator, Mapping
import json
import pathlib
from typing import Any

from vit_jax.core import config as config_lib, errors, files
from vit_jax.plan import (
  compile as compile_lib,
  estimate,
  inputs as inputs_lib,
  topology,
)
from vit_jax.reproduce import costs, launch
from vit_jax.reproduce.paper import Grid
from vit_jax.train import experiment as experiment_lib

Rows = list[dict[str, Any]]
# Batch sizes that are tried.
BATCH_SIZES = tuple(sorted({n * 2**i for n in (2, 3) for i in range(15)} | {1}))
# Two batch sizes whose memory says how much each further image takes.
_PROBES = (8, 16)


class _OneCore(topology.Topology):
  """One core of a slice, which `compile_step` takes as if it were a slice."""

  @property
  def num_devices(self) -> int:
    return 1

  def devices(self) -> list[Any]:
    return super().devices()[:1]


# v3:2x2 is the smallest slice that the compiler knows.
_CORE = _OneCore("v3", (2, 2))


def add(file: pathlib.Path, row: Mapping[str, Any]) -> None:
  """Adds a row to the file."""
  file.parent.mkdir(parents=True, exist_ok=True)
  with file.open("a") as f:
    f.write(json.dumps(row) + "\n")


def _matching(rows: Rows, **fields: Any) -> Rows:
  return [row for row in rows if fields.items() <= row.items()]


def core_days(rows: Rows, run: launch.Pretraining) -> float | None:
  """The core-days of a run on its slice; None if they were not computed."""
  computed = _matching(
    rows, what="core_days", config=run.config, slice=run.slice
  )
  return computed[0]["core_days"] if computed else None


def compute_core_days(file: pathlib.Path, run: launch.Pretraining) -> None:
  """Adds the core-days of a run; takes from 10 seconds to a minute."""
  days = launch.core_days(run.config, run.slice, run.examples())
  row = {"what": "core_days", "config": run.config, "slice": run.slice}
  add(file, {**row, "core_days": round(days, 1)})


def largest_batch(rows: Rows, model: str, size_px: int) -> tuple[int, int]:
  """(largest batch that fits, smallest that does not); 0 where unknown."""
  tried = [
    (row["batch"], row["fits"])
    for row in _matching(rows, what="batch", model=model, size_px=size_px)
  ]
  fitting = max((batch for batch, fits in tried if fits), default=0)
  failing = min((batch for batch, fits in tried if not fits), default=0)
  return fitting, failing


def is_found(bounds: tuple[int, int]) -> bool:
  """Whether no batch size is left to try between the two."""
  fitting, failing = bounds
  return bool(failing) and failing == _next(fitting)


def _next(batch: int) -> int:
  return next(b for b in BATCH_SIZES if b > batch)


def compute_batch(
  file: pathlib.Path, model: str, size_px: int, effort: float
) -> None:
  """Adds one compilation of a train step on a TPUv3 core; takes minutes.

  Args:
    file: the file to add it to.
    model: as the paper writes it.
    size_px: height and width of the images.
    effort: effort of the compiler, as JAX is set; saved with the result.
  """
  fitting, failing = largest_batch(files.read_rows(file), model, size_px)
  if fitting:
    batch = _next(fitting)
  elif failing:
    batch = BATCH_SIZES[BATCH_SIZES.index(failing) - 1]
  else:
    batch = _guess(model, size_px)
  planned = _planned(model, size_px, batch)
  compiled = compile_lib.compile_step(planned.experiment, planned.inputs, _CORE)
  row = {"what": "batch", "model": model, "size_px": size_px, "batch": batch}
  more = {
    "fits": compiled.fits,
    "peak_mib": compiled.peak_bytes // 2**20,
    "compile_s": round(compiled.compile_s),
    "effort": effort,
  }
  add(file, {**row, **more})


def _guess(model: str, size_px: int) -> int:
  """The largest batch by the closed forms, whose memory grows linearly."""
  few, many = (_peak(model, size_px, batch) for batch in _PROBES)
  image_bytes = (many - few) / (_PROBES[1] - _PROBES[0])
  room = _CORE.chip.hbm_bytes - few + _PROBES[0] * image_bytes
  fitting = [b for b in BATCH_SIZES if b * image_bytes < room]
  return fitting[-1] if fitting else BATCH_SIZES[0]


def _peak(model: str, size_px: int, batch: int) -> int:
  planned = _planned(model, size_px, batch)
  estimator = estimate.Estimator(planned.experiment, planned.inputs)
  return estimator(planned.experiment, 1).peak_bytes


def _planned(model: str, size_px: int, batch: int) -> inputs_lib.Planned:
  """A run with Adam, bfloat16 computation and made-up images."""
  config = costs.make(model, size_px, dtype="bfloat16").config
  c: Any = config_lib.to_config_dict(experiment_lib.Experiment(model=config))
  c.data.batch_size = batch
  c.data.train.preprocess = f"decode|resize({size_px})|value_range(-1, 1)"
  experiment = config_lib.build(experiment_lib.Experiment, c)
  return inputs_lib.make_up(experiment, 1_000_000)


def batches(grid: Grid) -> Iterator[tuple[str, int]]:
  """(model, px) of every place of Figure 12 that is possible.

  ViTs come first, because they compile faster than ResNets, and 224 px before
  the other sizes, because the rest of the paper uses it.
  """
  sizes = [int(column.removesuffix(" px")) for column in grid.columns]
  sizes.sort(key=lambda size: size != 224)
  for model in sorted((r[0] for r in grid.rows), key=lambda m: m[0] != "V"):
    for size_px in sizes:
      if can_take(model, size_px):
        yield model, size_px


def can_take(model: str, size_px: int) -> bool:
  """Whether a model takes images of this size: its patches must divide it."""
  if costs.is_resnet(model):
    return True
  try:
    return costs.tokens(model, size_px) > 0
  except errors.ConfigError:
    return False
