"""Settings of `runtime` that fit a config into the memory of its devices."""

import collections
from collections.abc import Iterator
import dataclasses
import itertools
import typing
from typing import Any

from vit_jax.core import errors, mesh as mesh_lib
from vit_jax.plan import chips, estimate
from vit_jax.train import experiment as experiment_lib

# An estimate is within 10 % of the compiler's peak (docs/pod_plans.md).
MARGIN = 1.1
# More tensor parallelism than this sends more than it computes.
_MOST_TENSOR = 8
_MICROBATCHES = (1, 2, 4, 8)


@dataclasses.dataclass(frozen=True)
class Way:
  """A way to run a config: values of `runtime`, and what they need.

  Attributes:
    experiment: the config with them.
    needs: what one device needs.
    changed: how many of mesh, remat and microbatches were changed.
  """

  experiment: experiment_lib.Experiment
  needs: estimate.Estimate
  changed: int


def _powers(limit: int) -> list[int]:
  """1, 2, 4, ... up to the limit."""
  return [2**i for i in range(limit.bit_length())]


def meshes(num_devices: int) -> Iterator[mesh_lib.MeshShape]:
  """Meshes of so many devices, those that send least first."""
  tensors, fsdps = _powers(min(_MOST_TENSOR, num_devices)), _powers(num_devices)
  for tensor, fsdp in itertools.product(tensors, fsdps):
    if num_devices % (fsdp * tensor) == 0:
      data = num_devices // (fsdp * tensor)
      yield mesh_lib.MeshShape(data, fsdp, tensor)


def with_runtime(
  experiment: experiment_lib.Experiment, **fields: Any
) -> experiment_lib.Experiment:
  """The config with other values of fields of `runtime`."""
  runtime = dataclasses.replace(experiment.runtime, **fields)
  return dataclasses.replace(experiment, runtime=runtime)


def _try(
  estimator: estimate.Estimator, num_devices: int, changed: int, **fields: Any
) -> Way | None:
  """The way with these values of `runtime`, or None if they are impossible."""
  experiment = with_runtime(estimator.experiment, **fields)
  try:
    return Way(experiment, estimator(experiment, num_devices), changed)
  except errors.ConfigError:
    return None


def _cost(way: Way, chip: chips.Chip) -> tuple[int, float]:
  # Traffic of tensor parallelism is not estimated, so less of it goes first.
  tensor = way.experiment.runtime.mesh.tensor
  return tensor, sum(way.needs.times(chip).values())


def nearest(
  estimator: estimate.Estimator, num_devices: int, chip: chips.Chip
) -> list[Way]:
  """The ways with the fewest changes that should fit, the fastest first."""
  now = estimator.experiment.runtime
  here = mesh_lib.MeshShape(*now.mesh.resolve(num_devices))
  hints = typing.get_type_hints(experiment_lib.Runtime)
  remats = typing.get_args(hints["remat"])
  choices = itertools.product(meshes(num_devices), remats, _MICROBATCHES)
  by_changes = collections.defaultdict(list)
  for mesh, remat, parts in choices:
    changed = sum((mesh != here, remat != now.remat, parts != now.microbatches))
    fields = dict(mesh=mesh, remat=remat, microbatches=parts)
    by_changes[changed].append(fields)
  for changed, choices in sorted(by_changes.items()):
    ways = (_try(estimator, num_devices, changed, **f) for f in choices)
    fitting = [
      way
      for way in ways
      if way and way.needs.peak_bytes * MARGIN < chip.hbm_bytes
    ]
    if fitting:
      return sorted(fitting, key=lambda way: _cost(way, chip))
  return []


def auto_mesh(
  estimator: estimate.Estimator, num_devices: int, hbm_bytes: int
) -> mesh_lib.MeshShape:
  """Of the meshes that should fit, the one that sends least.

  Raises:
    ConfigError: no mesh fits; the message says how much memory is needed.
  """
  base = estimator.experiment
  ways = []
  for mesh in meshes(num_devices):
    way = _try(estimator, num_devices, 1, mesh=mesh)
    if way and way.needs.peak_bytes * MARGIN < hbm_bytes:
      return mesh
    ways += [way] if way else []
  if not ways:
    raise errors.ConfigError(
      f"runtime.mesh=auto: data.batch_size={base.data.batch_size} with"
      f" runtime.microbatches={base.runtime.microbatches} cannot be split over"
      f" {num_devices} devices; change one of them"
    )
  least = min(ways, key=lambda way: way.needs.peak_bytes)
  raise errors.ConfigError(
    f"runtime.mesh=auto: no mesh of {num_devices} devices fits; the least,"
    f" {least.experiment.runtime.mesh}, needs about"
    f" {least.needs.peak_bytes / 2**30:.1f} GiB of {hbm_bytes / 2**30:.1f} GiB"
    " on each; use runtime.remat or more runtime.microbatches"
  )
