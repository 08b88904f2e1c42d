"""Closed forms of what a run needs on a mesh: no device, no compiler.

They look at the real step, traced for the examples of one device. The sharding
of each array says how it is split over the mesh.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, AxisType

from vit_jax.core import mesh as mesh_lib
from vit_jax.data import pipeline
from vit_jax.plan import chips, flops, memory
from vit_jax.train import experiment as experiment_lib, setup


@dataclasses.dataclass(frozen=True)
class Estimate:
  """What one device needs.

  Attributes:
    parameters_bytes, optimizer_bytes: parts of the state.
    other_bytes: rest of the state: an average of the parameters, and the
      variables of the model that are not parameters.
    batch_bytes: size of the examples.
    activations_bytes: what a step makes, at its peak, including gradients.
    flops: operations of a step.
    moved_bytes: traffic to and from the device's memory in a step.
    sent_bytes: traffic to other devices in a step.
  """

  parameters_bytes: int
  optimizer_bytes: int
  other_bytes: int
  batch_bytes: int
  activations_bytes: int
  flops: float
  moved_bytes: int
  sent_bytes: int

  @property
  def arguments_bytes(self) -> int:
    """Size of the step's arguments."""
    state = self.parameters_bytes + self.optimizer_bytes + self.other_bytes
    return state + self.batch_bytes

  @property
  def peak_bytes(self) -> int:
    """The most memory in use at one time."""
    return self.arguments_bytes + self.activations_bytes

  def times(self, chip: chips.Chip) -> dict[str, float]:
    """Seconds of a step if only one thing limits it, by that thing."""
    return {
      "compute": self.flops / chip.flops_per_s,
      "memory": self.moved_bytes / chip.hbm_bytes_per_s,
      "communication": self.sent_bytes / chip.ici_bytes_per_s,
    }


class Estimator:
  """Makes estimates for one config; traces what they share only once.

  Its data may be made up, of the same shapes.
  """

  def __init__(
    self,
    experiment: experiment_lib.Experiment,
    inputs: experiment_lib.Inputs,
  ):
    self.experiment = experiment
    self.inputs = inputs
    self._traced: dict[Any, Any] = {}
    self._states: dict[Any, Any] = {}

  def __call__(
    self, experiment: experiment_lib.Experiment, num_devices: int
  ) -> Estimate:
    """What one of so many devices needs; `runtime` may have other values.

    Raises:
      ConfigError: the batch or a parameter cannot be split like this.
    """
    sizes = experiment.runtime.mesh.resolve(num_devices)
    data, fsdp, tensor = sizes
    mesh: Any = _mesh(sizes)
    setup.check_divisible(experiment, mesh)
    if sizes not in self._states:
      run = setup.build_on(mesh, experiment, self.inputs)
      self._states[sizes] = run.state
    state = self._states[sizes]
    rows = experiment.data.batch_size // (data * fsdp)
    jaxpr, batch = self._trace(experiment, rows)
    sharded = {
      x.shape: x.sharding.shard_shape(x.shape)
      for x in jax.tree.leaves(state.params)
    }

    def size(shape: tuple[int, ...], dtype: Any) -> int:
      # Gradients and updates are split as their parameters are.
      return memory.padded_bytes(sharded.get(shape, shape), dtype)

    used = memory.use(jaxpr, size)
    parameters = _bytes(state.params)
    optimizer = _bytes(state.opt_state)
    return Estimate(
      parameters_bytes=parameters,
      optimizer_bytes=optimizer,
      other_bytes=_bytes((state.task_state, state.ema)),
      batch_bytes=sum(
        memory.padded_bytes(x.shape, x.dtype) for x in batch.values()
      ),
      activations_bytes=used.peak,
      flops=flops.count(jaxpr) / tensor,
      # A step reads and writes the parameters and the optimiser's state.
      moved_bytes=used.moved + 2 * (parameters + optimizer),
      sent_bytes=_sent(state.params, sizes),
    )

  def _trace(
    self, experiment: experiment_lib.Experiment, rows: int
  ) -> tuple[Any, dict[str, Any]]:
    """The step for `rows` examples on one device, and its batch."""
    runtime = experiment.runtime
    key = (rows, runtime.remat, runtime.unroll, runtime.microbatches)
    if key not in self._traced:
      alone = dataclasses.replace(
        experiment,
        data=dataclasses.replace(experiment.data, batch_size=rows),
        runtime=dataclasses.replace(runtime, mesh=mesh_lib.MeshShape()),
      )
      run = setup.build_on(_mesh((1, 1, 1)), alone, self.inputs)
      state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), run.state
      )
      batch = batch_shapes(alone, self.inputs)
      self._traced[key] = jax.make_jaxpr(run.step)(state, batch).jaxpr, batch
    return self._traced[key]

  @property
  def parameters(self) -> int:
    """Number of parameters, over all devices."""
    state = next(iter(self._states.values()))
    return sum(math.prod(x.shape) for x in jax.tree.leaves(state.params))


def _mesh(sizes: tuple[int, int, int]) -> Any:
  """A mesh without actual devices."""
  types = (AxisType.Auto,) * len(mesh_lib.AXES)
  return AbstractMesh(sizes, mesh_lib.AXES, axis_types=types)


def batch_shapes(
  experiment: experiment_lib.Experiment, inputs: experiment_lib.Inputs
) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of a batch, from one example of the data."""
  train = experiment.data.train
  batch = pipeline.train_batches(
    inputs.train,
    train.preprocess,
    batch_size=1,
    seed=0,
    num_steps=1,
    on_error=train.on_error,
  )[0]
  del batch["id"]
  rows = experiment.data.batch_size
  return {
    k: jax.ShapeDtypeStruct((rows, *x.shape[1:]), jnp.dtype(x.dtype))
    for k, x in batch.items()
  }


def _bytes(tree: Any) -> int:
  """Bytes of the part of each array that one device holds."""
  return sum(
    memory.padded_bytes(x.sharding.shard_shape(x.shape), x.dtype)
    for x in jax.tree.leaves(tree)
  )


def _sent(params: Any, sizes: tuple[int, int, int]) -> int:
  """Bytes that a device sends for parameters and gradients in a step.

  To sum an array of n bytes over a ring of d devices, each of them sends
  2 n (d - 1) / d bytes; to gather it, half of that. With fsdp the parameters
  are gathered in both passes. Traffic of tensor parallelism is left out.
  """
  data, fsdp, _ = sizes
  split = sum(
    math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
    for x in jax.tree.leaves(params)
  )
  gathered = 2 * split * (fsdp - 1)
  summed = 2 * split * (fsdp - 1) + 2 * split * (data - 1) / data
  return int(gathered + summed)
