"""The first state of a run: drawn at random, or from a checkpoint."""

import dataclasses
from typing import Any

import jax
import numpy as np

from vit_jax import checkpoints
from vit_jax.checkpoints import adapt
from vit_jax.cluster import processes
from vit_jax.core import parts, tree
from vit_jax.data import relabelled
from vit_jax.train import experiment as experiment_lib, setup
from vit_jax.train.state import State


def load(
  experiment: experiment_lib.Experiment, inputs: experiment_lib.Inputs
) -> checkpoints.Loaded | None:
  """The weights of `start.checkpoint` for the run's model and data, if given.

  Positions are resized to the run's grid. The head is zeros if
  `start.new_head` says so or the classes differ (Section 3.2,
  arXiv:2010.11929); one that is kept has its classes in the data's order.

  Raises:
    CheckpointError: it cannot be loaded, or is of another model.
    ConfigError: it takes images of other channels than the data's, or keeps a
      head of other classes.
  """
  start = experiment.start
  if not start.checkpoint:
    return None
  loaded = checkpoints.load(
    start.checkpoint,
    setup.make_model(experiment),
    layout=start.layout,
    allow_parts=parts.imported(),
  )
  data = experiment.data.train
  experiment_lib.check_channels(
    f"data.train.preprocess={data.preprocess}",
    inputs.image_shape[2],
    f"start.checkpoint={start.checkpoint}",
    loaded.channels,
  )
  params = loaded.params
  changes = _changes(loaded.report)
  if start.new_head and "head" in params:
    zeros = jax.tree.map(np.zeros_like, params["head"])
    loaded = dataclasses.replace(loaded, params={**params, "head": zeros})
    changes.append("head of zeros")
  elif "head" in params and not loaded.report.reset:
    ordered = _in_order(loaded, experiment, inputs)
    if ordered is not loaded:
      changes.append("classes in the data's order")
    loaded = ordered
  processes.say(
    f"starts from {start.checkpoint} ({loaded.source_format};"
    f" {', '.join(changes) or 'nothing changed'})"
  )
  return loaded


def _in_order(
  loaded: checkpoints.Loaded,
  experiment: experiment_lib.Experiment,
  inputs: experiment_lib.Inputs,
) -> checkpoints.Loaded:
  """The checkpoint with the classes of its head in the order of the data's."""
  names = inputs.train.class_names
  numbers = relabelled.numbers(
    names,
    loaded.labels,
    f"data.train.name={experiment.data.train.name}",
    f"start.checkpoint={experiment.start.checkpoint}",
    remedy="give both the same names, in any order, or leave"
    " start.new_head=True",
  )
  if numbers is None or list(numbers) == sorted(numbers):
    return loaded
  return adapt.reordered(loaded, numbers, names)


def state(run: setup.Run, loaded: checkpoints.Loaded | None) -> State:
  """A new state; its parameters are those of `load`, if given.

  The optimiser's state and the averages start afresh.
  """
  drawn = run.init()
  if loaded is None:
    return drawn
  params = loaded.params
  task_state = {k: v for k, v in loaded.variables.items() if k != "params"}
  state = drawn.replace(
    params=_over(drawn.params, params, run.state.params),
    task_state=_over(drawn.task_state, task_state, run.state.task_state),
    # Separate arrays, since the step donates those of its state.
    ema=_over(drawn.ema, params, run.state.ema) if drawn.ema else drawn.ema,
  )
  return run.begin(state)


def weights(run: setup.Run) -> dict[str, Any]:
  """The weights of other models that the task needs, on the devices."""
  return {
    name: _placed(dict(loaded.variables), run.state.weights[name])
    for name, loaded in run.task.weights.items()
  }


def _changes(report: Any) -> list[str]:
  counts = {"positions resized": report.resized, "arrays reset": report.reset}
  changes = [f"{len(names)} {what}" for what, names in counts.items() if names]
  if report.dropped:
    changes.append(f"dropped {', '.join(sorted(report.dropped))}")
  return changes


def _over(drawn: Any, params: Any, like: Any) -> Any:
  """Replaces the drawn arrays of the model; those of the task stay."""
  return {**drawn, **_placed(params, {k: like[k] for k in params})}


def _placed(arrays: Any, like: Any) -> Any:
  """Host arrays on the devices; each process supplies the parts it owns."""

  def place(name: str, want: Any, have: Any) -> jax.Array:
    value = np.asarray(have, want.dtype)
    return jax.make_array_from_callback(
      want.shape, want.sharding, lambda index: value[index]
    )

  return tree.map_named(place, like, arrays)
