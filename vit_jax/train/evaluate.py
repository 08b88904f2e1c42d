"""Scores a checkpoint with a config's evaluators."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vit_jax import checkpoints
from vit_jax.checkpoints import layouts, manifest, run_checkpoints
from vit_jax.core import (
  config as config_lib,
  errors,
  mesh as mesh_lib,
  processes,
  storage,
  tree,
)
from vit_jax.train import experiment as experiment_lib, setup


def evaluate(
  checkpoint: str,
  config: config_lib.ConfigDict | None = None,
  devices: Sequence[jax.Device] | None = None,
  *,
  layout: str = "",
) -> dict[str, dict[str, float]]:
  """The scores of every evaluator.

  Args:
    checkpoint: a workdir, its folder of checkpoints, or one step; or
      published weights of any format that `checkpoints.load` knows.
    config: None takes the config that was saved with a run's checkpoint. Its
      model may have another image size or other classes.
    devices: None takes all.
    layout: of published weights, see `checkpoints.load`; "" recognises it.

  Raises:
    ConfigError: the config breaks a rule or has no evaluator.
    CheckpointError: no good checkpoint, or not one of this model; or one
      without the head that an evaluator needs.
  """
  if layout:
    layouts.named(layout)
  own = checkpoints.is_run(checkpoint)
  place = storage.path(checkpoint)
  path = _step(place) if own else place
  if config is None:
    saved = manifest.read(path)["meta"]["config"] if own else {}
    if "evals" not in saved:
      raise errors.ConfigError(
        f"checkpoint={checkpoint} was not saved by a run, so it does not say"
        " what to evaluate on; give --config"
      )
    experiment = config_lib.build(experiment_lib.Experiment, saved)
    # The saved run may have had other devices.
    runtime = experiment_lib.Runtime(data_dir=experiment.runtime.data_dir)
    experiment = dataclasses.replace(experiment, runtime=runtime)
  else:
    experiment = config_lib.build(experiment_lib.Experiment, config)
  if not experiment.evals:
    raise errors.ConfigError("evals is empty; add an evaluator to the config")
  sources, image_shape = processes.together(
    lambda: experiment_lib.open_evals(experiment)
  )
  mesh = mesh_lib.make(experiment.runtime.mesh, devices)
  model = setup.make_model(experiment)
  variables = None
  if own and not layout:
    variables = _restore(path, experiment, model, image_shape, mesh)
  if variables is None:
    loaded = checkpoints.load(path, model=model, layout=layout)
    _check_head(loaded, experiment)
    variables = jax.device_put(loaded.variables, mesh_lib.replicated(mesh))
  evaluators = setup.make_evaluators(experiment, sources, model, mesh)
  return {name: score(variables) for name, score in evaluators.items()}


def _check_head(
  loaded: checkpoints.Loaded, experiment: experiment_lib.Experiment
) -> None:
  """Refuses to score the zeros that stand for a head of other classes."""
  head = [name for name in loaded.report.reset if name.startswith("head/")]
  names = [name for name, c in experiment.evals.items() if c.uses_head]
  if head and names:
    raise errors.CheckpointError(
      f"the checkpoint has no head of model.num_classes="
      f"{experiment.model.num_classes}, which evals.{names[0]} needs; evaluate"
      " with its own number of classes"
    )


def _step(folder: storage.AnyPath) -> storage.AnyPath:
  """The newest good step of a workdir or of its checkpoints, or this one."""
  inner = folder / "checkpoints"
  return run_checkpoints.open_step(inner if inner.is_dir() else folder)


def _restore(
  path: storage.AnyPath,
  experiment: experiment_lib.Experiment,
  model: Any,
  image_shape: tuple[int, int, int],
  mesh: Mesh,
) -> dict[str, Any] | None:
  """The model's variables; its averaged parameters where they were kept.

  None where they have other shapes, for another image size or other classes.
  """
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = dict(jax.eval_shape(model.init, jax.random.key(0), images))
  rules = config_lib.module_for(experiment.model).sharding_rules(
    experiment.model
  )
  params = variables.pop("params")
  params = mesh_lib.with_shardings(
    params, mesh_lib.shardings(mesh, params, rules)
  )
  others = mesh_lib.with_shardings(
    variables, jax.tree.map(lambda _: mesh_lib.replicated(mesh), variables)
  )
  saved = run_checkpoints.read_arrays(path)
  averaged = any(name.startswith("ema/") for name in saved)
  which = "ema" if averaged else "params"
  target = {which: params, "task_state": others}
  shapes = {name: x.shape for name, x in tree.flatten(target).items()}
  if any(saved[k][1] != shapes[k] for k in saved.keys() & shapes.keys()):
    return None
  state, _ = run_checkpoints.restore_step(path, target, partial=True)
  return {"params": state[which], **state["task_state"]}
