"""What a run needs on a mesh, in closed form: no device and no compiler.

The step that is looked at is the real one, traced for the rows of one device;
what is split over the mesh is known from the sharding of each array.
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
    parameters_bytes, optimizer_bytes, other_bytes: of the state; the last is
      an average of the parameters and the model's other variables.
    batch_bytes: of the examples.
    activations_bytes: what a step makes, gradients among it, at its peak.
    flops: of a step.
    moved_bytes: to and from the device's memory in a step.
    sent_bytes: to other devices in a step.
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
    """What a step is given."""
    state = self.parameters_bytes + self.optimizer_bytes + self.other_bytes
    return state + self.batch_bytes

  @property
  def peak_bytes(self) -> int:
    """The most that is alive at one time."""
    return self.arguments_bytes + self.activations_bytes

  def times(self, chip: chips.Chip) -> dict[str, float]:
    """Least seconds of a step by what it could be limited by."""
    return {
      "compute": self.flops / chip.flops_per_s,
      "memory": self.moved_bytes / chip.hbm_bytes_per_s,
      "communication": self.sent_bytes / chip.ici_bytes_per_s,
    }


class Estimator:
  """Estimates for one config; what they have in common is traced once.

  Args:
    experiment: the config.
    inputs: its data, or made-up data of the same shape.
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
    """What a device needs for the config with other values of `runtime`.

    Raises:
      ConfigError: the batch or a parameter cannot be split so.
    """
    sizes = experiment.runtime.mesh.resolve(num_devices)
    data, fsdp, tensor = sizes
    setup.check_divisible(experiment, _mesh(sizes))
    if sizes not in self._states:
      run = setup.build_on(_mesh(sizes), experiment, self.inputs)
      self._states[sizes] = run.state
    state = self._states[sizes]
    rows = experiment.data.batch_size // (data * fsdp)
    jaxpr, batch = self._trace(experiment, rows)
    sharded = {
      x.shape: x.sharding.shard_shape(x.shape)
      for x in jax.tree.leaves(state.params)
    }

    def size(shape: tuple[int, ...], dtype: Any) -> int:
      # Gradients and updates live where their parameters do.
      return memory.padded_bytes(sharded.get(shape, shape), dtype)

    used = memory.use(jaxpr, size)
    parameters = _bytes(state.params)
    optimizer = _bytes(state.opt_state)
    # The state is read and written, and so are the gradients.
    moved = used.moved + 2 * (parameters + optimizer)
    return Estimate(
      parameters_bytes=parameters,
      optimizer_bytes=optimizer,
      other_bytes=_bytes((state.task_state, state.ema)),
      batch_bytes=sum(
        memory.padded_bytes(x.shape, x.dtype) for x in batch.values()
      ),
      activations_bytes=used.peak,
      flops=flops.count(jaxpr) / tensor,
      moved_bytes=moved,
      sent_bytes=_sent(state.params, sizes),
    )

  def _trace(
    self, experiment: experiment_lib.Experiment, rows: int
  ) -> tuple[Any, dict[str, Any]]:
    """The step of `rows` examples on one device, and its batch."""
    runtime = experiment.runtime
    key = (rows, runtime.remat, runtime.unroll, runtime.microbatches)
    if key not in self._traced:
      one = dataclasses.replace(
        experiment,
        data=dataclasses.replace(experiment.data, batch_size=rows),
        runtime=dataclasses.replace(runtime, mesh=mesh_lib.MeshShape()),
      )
      run = setup.build_on(_mesh((1, 1, 1)), one, self.inputs)
      state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), run.state
      )
      batch = batch_shapes(one, self.inputs)
      self._traced[key] = jax.make_jaxpr(run.step)(state, batch).jaxpr, batch
    return self._traced[key]

  @property
  def parameters(self) -> int:
    """Numbers in the parameters, over all devices."""
    state = next(iter(self._states.values()))
    return sum(math.prod(x.shape) for x in jax.tree.leaves(state.params))


def _mesh(sizes: tuple[int, int, int]) -> AbstractMesh:
  """A mesh of devices that nobody names."""
  types = (AxisType.Auto,) * len(mesh_lib.AXES)
  return AbstractMesh(sizes, mesh_lib.AXES, axis_types=types)


def batch_shapes(
  experiment: experiment_lib.Experiment, inputs: experiment_lib.Inputs
) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of a batch, from one example."""
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
  """Of the part of each array that one device holds."""
  return sum(
    memory.padded_bytes(x.sharding.shard_shape(x.shape), x.dtype)
    for x in jax.tree.leaves(tree)
  )


def _sent(params: Any, sizes: tuple[int, int, int]) -> int:
  """Bytes that a device sends for parameters and gradients.

  A ring sums an array of n bytes on d devices with 2 n (d - 1) / d bytes from
  each, and collects it with half of that. With fsdp the parameters are
  collected in both passes. What `tensor` sends is left out.
  """
  data, fsdp, _ = sizes
  split = sum(
    math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
    for x in jax.tree.leaves(params)
  )
  gathered = 2 * split * (fsdp - 1)
  summed = 2 * split * (fsdp - 1) + 2 * split * (data - 1) / data
  return int(gathered + summed)
