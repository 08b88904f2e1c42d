"""One optimiser step: a pure function of the state and the batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import optax

from vit_jax.core import mesh as mesh_lib, rng
from vit_jax.tasks import base as task_base
from vit_jax.train.state import State

Batch = dict[str, jax.Array]


def make(
  task: task_base.Task,
  tx: optax.GradientTransformation,
  schedule: Callable[[jax.Array], jax.Array],
  average: Callable[[Any, Any, jax.Array], Any],
  preprocess: Callable[[Batch], Batch],
  mesh: Mesh,
  microbatches: int,
) -> Callable[[State, Batch], tuple[State, dict[str, Any]]]:
  """The training step.

  Args:
    task: the objective.
    tx: the optimiser.
    schedule: learning rate at a step, for the metrics.
    average: (averaged params, new params, step) -> averaged params.
    preprocess: the part of preprocessing that runs on the device.
    mesh: the devices; the batch is split over data and fsdp.
    microbatches: parts whose gradients are accumulated; divides each
      device's rows.

  Returns:
    (state, batch) -> (state, metrics), to be jitted. Metrics: loss, learning
    rate, the L2 norms of gradients (before clipping), updates and parameters,
    and the task's own as pairs (sum, count).
  """

  def step(state: State, batch: Batch):
    # How many bad examples were skipped, if the config allows to skip them.
    skipped = {k: batch[k].sum() for k in ("skipped",) if k in batch}
    augment_key = rng.stream(state.rng, "augment", state.step)
    augmented = task.augment(preprocess(batch), augment_key)
    loss, grads, aux = _gradients(task, state, augmented, microbatches, mesh)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = {
      "loss": loss,
      "learning_rate": schedule(state.step),
      "l2_grads": optax.tree.norm(grads),
      "l2_updates": optax.tree.norm(updates),
      "l2_params": optax.tree.norm(params),
      **skipped,
    }
    state = state.replace(
      params=params,
      opt_state=opt_state,
      task_state=aux.state,
      ema=average(state.ema, params, state.step),
    )
    task_state = task.after_update(state.variables(), state.step)
    state = state.replace(step=state.step + 1, task_state=task_state)
    if both := sorted(metrics.keys() & aux.metrics.keys()):
      raise ValueError(
        f"the task and the step have metrics of one name: {both}"
      )
    return state, {**metrics, **aux.metrics}

  return step


def _gradients(
  task: task_base.Task,
  state: State,
  batch: Batch,
  microbatches: int,
  mesh: Mesh,
) -> tuple[jax.Array, Any, task_base.Aux]:
  """Mean loss and gradients over microbatches, sums of metrics, the state."""

  def loss(params: Any, task_state: Any, batch: Batch, key: jax.Array):
    seen = state.replace(params=params, task_state=task_state)
    return task.loss(seen.variables(), batch, key, state.step)

  def grad(*args: Any):
    # For `mesh.split_batch`.
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
      return jax.value_and_grad(loss, has_aux=True)(*args)

  params, task_state = state.params, state.task_state
  key = rng.stream(state.rng, "dropout", state.step)
  if microbatches == 1:
    (value, aux), grads = grad(params, task_state, batch, key)
    return value, grads, aux

  def split(x: jax.Array) -> jax.Array:
    # Every k-th row, so that each device keeps its own rows.
    x = x.reshape(-1, microbatches, *x.shape[1:]).swapaxes(0, 1)
    spec = PartitionSpec(None, *mesh_lib.BATCH)
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))

  def body(carry: Any, inputs: Any):
    sums, task_state = carry
    (value, aux), grads = grad(params, task_state, *inputs)
    return (jax.tree.map(jnp.add, sums, (value, grads)), aux.state), aux.metrics

  zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
  keys = jax.random.split(key, microbatches)
  (sums, task_state), metrics = jax.lax.scan(
    body, (zeros, task_state), (jax.tree.map(split, batch), keys)
  )
  value, grads = jax.tree.map(lambda x: x / microbatches, sums)
  metrics = jax.tree.map(lambda x: x.sum(axis=0), metrics)
  return value, grads, task_base.Aux(metrics, task_state)
