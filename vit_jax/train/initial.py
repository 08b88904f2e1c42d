"""The first state of a run: drawn at random, or from a checkpoint."""

from typing import Any

import jax
import numpy as np

from vit_jax import checkpoints
from vit_jax.cluster import processes
from vit_jax.core import parts, tree
from vit_jax.train import setup
from vit_jax.train.state import State


def state(run: setup.Run) -> State:
  """A new state; its parameters are those of `start.checkpoint`, if given.

  Positions are resized to the run's grid. The head is zeros if
  `start.new_head` says so or the classes differ (Section 3.2,
  arXiv:2010.11929). The optimiser's state and the averages start afresh.

  Raises:
    CheckpointError: it cannot be loaded, or is of another model.
  """
  drawn = run.init()
  start = run.experiment.start
  if not start.checkpoint:
    return drawn
  loaded = checkpoints.load(
    start.checkpoint,
    run.model,
    layout=start.layout,
    allow_parts=parts.imported(),
  )
  params = dict(loaded.params)
  changes = _changes(loaded.report)
  if start.new_head and "head" in params:
    params["head"] = jax.tree.map(np.zeros_like, params["head"])
    changes.append("head of zeros")
  processes.say(
    f"starts from {start.checkpoint} ({loaded.source_format};"
    f" {', '.join(changes) or 'nothing changed'})"
  )
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
