"""Scores a checkpoint with a config's evaluators."""

from collections.abc import Callable, Collection, Sequence
import contextlib
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vit_jax import checkpoints
from vit_jax.checkpoints import layouts, manifest, run_checkpoints
from vit_jax.cluster import processes
from vit_jax.core import (
  config as config_lib,
  errors,
  mesh as mesh_lib,
  parts,
  storage,
  tree,
)
from vit_jax.train import experiment as experiment_lib, setup


@dataclasses.dataclass(frozen=True)
class Ready:
  """A checkpoint on the devices, with what scores it.

  Attributes:
    experiment: whose evaluators these are.
    evaluators: by the name they report under.
    variables: of the model.
  """

  experiment: experiment_lib.Experiment
  evaluators: dict[str, Any]
  variables: Any


def evaluate(
  checkpoint: str,
  config: config_lib.ConfigDict | None = None,
  devices: Sequence[Any] | None = None,
  **how: Any,
) -> dict[str, dict[str, float]]:
  """The scores of every evaluator; arguments and errors as those of `ready`."""
  made = ready(checkpoint, config, devices, **how)
  return {name: f(made.variables) for name, f in made.evaluators.items()}


def ready(
  checkpoint: str,
  config: config_lib.ConfigDict | None = None,
  devices: Sequence[Any] | None = None,
  *,
  layout: str = "",
  allow_parts: Collection[str] = (),
  change: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Ready:
  """Opens the data of the evaluators, and puts a checkpoint on the devices.

  Args:
    checkpoint: a workdir, its folder of checkpoints, one step, or published
      weights that `checkpoints.load` knows.
    config: None takes the config that was saved with a run's checkpoint. Its
      model may have another image size or other classes.
    devices: None takes all.
    layout: layout of published weights, see `checkpoints.load`.
    allow_parts: modules and packages from outside that may be imported because
      a checkpoint names them.
    change: makes other configs of evaluators, by name, from those there are.

  Raises:
    ConfigError: the config breaks a rule or has no evaluator.
    CheckpointError: there is no good one, it is of another model, or it lacks
      the head that an evaluator needs.
  """
  if layout:
    layouts.named(layout)
  own, path = checkpoints.is_run(checkpoint), storage.path(checkpoint)
  path = _step(path) if own else path
  trust = contextlib.ExitStack()
  if config is None:
    trust.enter_context(parts.only(allow_parts))
  with trust:
    experiment = _experiment(checkpoint, path if own else None, config)
    experiment = dataclasses.replace(experiment, evals=change(experiment.evals))
    sources, image_shape = processes.together(
      lambda: experiment_lib.open_evals(experiment)
    )
  model = setup.make_model(experiment)
  load = functools.partial(_load, path, experiment, model, layout, allow_parts)
  loaded = None if own and not layout else load()
  if loaded:
    labels, channels = loaded.labels, loaded.channels
  else:
    labels, channels = _facts(path, experiment, image_shape[2])
  there = f"checkpoint={checkpoint}"
  name, first = next(iter(experiment.evals.items()))
  here = f"evals.{name}.data.preprocess={first.data.preprocess}"
  experiment_lib.check_channels(here, image_shape[2], there, channels)
  sources = experiment_lib.by_head(experiment, sources, labels, there)
  mesh = mesh_lib.make(experiment.runtime.mesh, devices)
  restored = (path, experiment, model, image_shape, mesh)
  variables = None if loaded else _restore(*restored)
  if variables is None:
    arrays = (loaded or load()).variables
    variables = jax.device_put(arrays, mesh_lib.replicated(mesh))
  evaluators = setup.make_evaluators(experiment, sources, model, mesh)
  return Ready(experiment, evaluators, variables)


def _experiment(
  checkpoint: str,
  step: storage.AnyPath | None,
  config: config_lib.ConfigDict | None,
) -> experiment_lib.Experiment:
  """The experiment of a config, or of the one that a run has saved."""
  saved: Any = config
  if config is None:
    saved = manifest.read(step)["meta"]["config"] if step else {}
    if "evals" not in saved:
      raise errors.ConfigError(
        f"checkpoint={checkpoint} was not saved by a run, so it does not say"
        " what to evaluate on; give --config"
      )
  experiment = config_lib.build(experiment_lib.Experiment, saved)
  if not experiment.evals:
    raise errors.ConfigError("evals is empty; add an evaluator to the config")
  if config is not None:
    return experiment
  # The saved run may have had other devices.
  runtime = experiment_lib.Runtime(data_dir=experiment.runtime.data_dir)
  return dataclasses.replace(experiment, runtime=runtime)


def _facts(
  step: storage.AnyPath, experiment: experiment_lib.Experiment, channels: int
) -> tuple[Sequence[str], int]:
  """The names of a run's classes, and the channels of its images.

  Its arrays are not read. There are no names if the config has other classes;
  without a first layer, as in another model, the channels are `channels`.
  """
  labels = manifest.read(step)["meta"].get("labels", ())
  if len(labels) != experiment.model.num_classes:
    labels = ()
  stem = config_lib.module_for(experiment.model).STEM
  name = f"{manifest.model_paths(step)['params']}/{stem}"
  arrays = run_checkpoints.read_arrays(step)
  return labels, arrays[name][1][2] if name in arrays else channels


def _load(
  path: storage.AnyPath,
  experiment: experiment_lib.Experiment,
  model: Any,
  layout: str,
  allow_parts: Collection[str],
) -> checkpoints.Loaded:
  """The weights; not with a head of zeros, which replaced one, to be scored."""
  loaded = checkpoints.load(
    path, model=model, layout=layout, allow_parts=allow_parts
  )
  head = [name for name in loaded.report.reset if name.startswith("head/")]
  names = [name for name, c in experiment.evals.items() if c.uses_head]
  if head and names:
    raise errors.CheckpointError(
      f"the checkpoint has no head of model.num_classes="
      f"{experiment.model.num_classes}, which evals.{names[0]} needs; evaluate"
      " with its own number of classes"
    )
  return loaded


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

  None if the saved arrays have other shapes, because the image size or the
  classes differ.
  """
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = dict(jax.eval_shape(model.init, jax.random.key(0), images))
  rules = config_lib.module_for(experiment.model).sharding_rules(
    experiment.model
  )
  saved = run_checkpoints.read_arrays(path)
  paths = manifest.model_paths(path)
  places = {}
  for collection, arrays in variables.items():
    own = rules if collection == "params" else ()
    shardings = mesh_lib.shardings(mesh, arrays, own)
    placed = mesh_lib.with_shardings(arrays, shardings)
    for name, x in tree.flatten(placed).items():
      places[f"{paths[collection]}/{name}"] = f"{collection}/{name}", x
  shapes = {place: x.shape for place, (_, x) in places.items()}
  if any(saved[k][1] != shapes[k] for k in saved.keys() & shapes.keys()):
    return None
  target = tree.unflatten({place: x for place, (_, x) in places.items()})
  state, _ = run_checkpoints.restore_step(path, target, partial=True)
  return tree.unflatten(
    {places[place][0]: x for place, x in tree.flatten(state).items()}
  )
