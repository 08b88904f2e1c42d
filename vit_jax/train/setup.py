"""Builds all that runs on a mesh, from a validated config and its data."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import optax

from vit_jax import checkpoints
from vit_jax.core import (
  config as config_lib,
  errors,
  mesh as mesh_lib,
  parts,
  rng,
)
from vit_jax.optim import base as optim_lib, ema, schedule as schedule_lib
from vit_jax.tasks import base as task_base
from vit_jax.train import experiment as experiment_lib, step as step_lib
from vit_jax.train.state import State


@dataclasses.dataclass(frozen=True)
class Run:
  """A run that is ready to start.

  Attributes:
    experiment: the validated config.
    inputs: the opened data.
    mesh: the devices.
    task: the objective.
    init: () -> State, born sharded.
    begin: State -> State, after its first parameters were replaced.
    state: ShapeDtypeStructs with shardings, what a checkpoint restores to.
    step: (state, batch) -> (state, metrics), jitted; donates the state.
    evaluators: the evaluators by the name that they report under.
  """

  experiment: experiment_lib.Experiment
  inputs: experiment_lib.Inputs
  mesh: Mesh
  task: task_base.Task
  init: Callable[[], State]
  begin: Callable[[State], State]
  state: State
  step: Callable[[State, Any], tuple[State, dict[str, Any]]]
  evaluators: dict[str, Any]

  @property
  def model(self) -> nn.Module:
    """The Flax module that is trained."""
    return self.task.model


def make_model(experiment: experiment_lib.Experiment) -> nn.Module:
  """The Flax module of the config, with the runtime's speed knobs.

  Raises:
    ConfigError: a knob is set that this model does not have.
  """
  module = config_lib.module_for(experiment.model)
  known = {field.name for field in dataclasses.fields(module.Model)}
  knobs = {}
  for name in ("unroll", "remat", "split_tokens"):
    value = getattr(experiment.runtime, name)
    if name in known:
      knobs[name] = value
    elif value != getattr(experiment_lib.Runtime, name):
      raise errors.ConfigError(
        f"runtime.{name}={value}, but this model"
        f" ({module.__name__.rpartition('.')[2]}) has no {name};"
        f" use {getattr(experiment_lib.Runtime, name)}"
      )
  return module.Model(experiment.model, **knobs)


def build(
  experiment: experiment_lib.Experiment,
  inputs: experiment_lib.Inputs,
  devices: Sequence[Any] | None = None,
) -> Run:
  """Builds the run on these devices, or on all there are.

  Raises:
    ConfigError: the batch or a parameter cannot be split over the mesh.
  """
  mesh = mesh_lib.make(experiment.runtime.mesh, devices)
  return build_on(mesh, experiment, inputs)


def build_on(
  mesh: Mesh,
  experiment: experiment_lib.Experiment,
  inputs: experiment_lib.Inputs,
) -> Run:
  """Builds the run on a mesh; an AbstractMesh is enough to look at it."""
  check_divisible(experiment, mesh)
  if experiment.runtime.split_tokens and mesh.shape["tensor"] == 1:
    raise errors.ConfigError(
      "runtime.split_tokens=True has no effect with tensor=1 in runtime.mesh;"
      " use tensor=2 or more, or leave it False"
    )
  task = _make_task(experiment, inputs)
  images = jax.ShapeDtypeStruct((1, *inputs.image_shape), jnp.float32)
  params, _ = jax.eval_shape(task.init, jax.random.key(0), images)
  schedule, tx, average = _make_optim(experiment, inputs, params)

  init, begin = _initialisers(experiment, images, task, tx)
  others = {k: dict(v.variables) for k, v in task.weights.items()}
  state = shard(jax.eval_shape(init, others), task, tx, mesh)
  shardings = jax.tree.map(lambda x: x.sharding, state)
  step = step_lib.make(
    task,
    tx,
    lambda step: experiment.optim.peak_lr * schedule(step),
    average,
    experiment.data.train.preprocess.device,
    mesh,
    experiment.runtime.microbatches,
  )
  return Run(
    experiment=experiment,
    inputs=inputs,
    mesh=mesh,
    task=task,
    init=functools.partial(jax.jit(init, out_shardings=shardings), others),
    begin=jax.jit(begin, out_shardings=shardings),
    state=state,
    step=jax.jit(
      step,
      donate_argnums=0,
      out_shardings=(shardings, mesh_lib.replicated(mesh)),
    ),
    evaluators=make_evaluators(experiment, inputs.evals, task.model, mesh),
  )


def _make_task(
  experiment: experiment_lib.Experiment,
  inputs: experiment_lib.Inputs,
) -> task_base.Task:
  """The objective of the config, with the weights of others that it needs."""
  weights = {
    name: checkpoints.load(path, allow_parts=parts.imported())
    for name, path in experiment.task.weights().items()
  }
  with errors.located("task"):
    return config_lib.module_for(experiment.task).Task(
      experiment.task, make_model(experiment), inputs.lengths, weights
    )


def _initialisers(
  experiment: experiment_lib.Experiment,
  images: jax.ShapeDtypeStruct,
  task: task_base.Task,
  tx: optax.GradientTransformation,
) -> tuple[Callable[[Any], State], Callable[[State], State]]:
  """The functions that make a state, and that renew its task state."""

  def init(weights: Any) -> State:
    words = rng.root(experiment.seed)
    zeros = jnp.zeros(images.shape, images.dtype)
    params, task_state = task.init(rng.named(words, "init"), zeros)
    state = State(
      step=jnp.zeros((), jnp.int32),
      params=params,
      opt_state=tx.init(params),
      task_state=task_state,
      ema=ema.init(experiment.optim.average, params),
      rng=words,
      weights=weights,
    )
    return begin(state)

  def begin(state: State) -> State:
    return state.replace(task_state=task.begin(state.variables()))

  return init, begin


def _make_optim(
  experiment: experiment_lib.Experiment,
  inputs: experiment_lib.Inputs,
  params: Any,
) -> tuple[Any, optax.GradientTransformation, Any]:
  """Schedule, optimiser and parameter average of the config."""
  optim = experiment.optim
  with errors.located("optim.schedule"):
    schedule = schedule_lib.make(optim.schedule, **inputs.lengths)
  with errors.located("optim.average"):
    average = ema.make(optim.average, **inputs.lengths)
  with errors.located("optim"):
    stacked = config_lib.module_for(experiment.model).STACKED
    tx = optim_lib.make(optim, schedule, params, stacked=stacked)
  return schedule, tx, average


def check_divisible(experiment: experiment_lib.Experiment, mesh: Mesh) -> None:
  """Checks that devices get equal numbers of rows of each microbatch."""
  size = experiment.data.batch_size
  parts = experiment.runtime.microbatches
  ways = mesh_lib.batch_ways(mesh)
  if size % (ways * parts):
    raise errors.ConfigError(
      f"data.batch_size={size} is not divisible by {ways} devices x {parts}"
      f" microbatches = {ways * parts}; {errors.nearest(size, ways * parts)}"
    )


def shard(
  state: State,
  task: task_base.Task,
  tx: optax.GradientTransformation,
  mesh: Mesh,
) -> State:
  """The shapes of a state with the sharding of every array."""
  params = mesh_lib.shardings(mesh, state.params, task.sharding_rules())

  def whole(tree: Any) -> Any:
    return jax.tree.map(lambda _: mesh_lib.replicated(mesh), tree)

  def of_other(name: str) -> Any:
    config = task.weights[name].model.config  # type: ignore[attr-defined]
    rules = config_lib.module_for(config).sharding_rules(config)
    variables = state.weights[name]
    params = mesh_lib.shardings(mesh, variables["params"], rules)
    return {**whole(variables), "params": params}

  shardings = State(
    step=whole(state.step),
    params=params,
    opt_state=optim_lib.state_shardings(tx, state.params, params, mesh),
    task_state=mesh_lib.shardings(
      mesh, state.task_state, task.state_sharding_rules()
    ),
    ema=params if state.ema else {},
    rng=whole(state.rng),
    weights={name: of_other(name) for name in state.weights},
  )
  return mesh_lib.with_shardings(state, shardings)


def make_evaluators(
  experiment: experiment_lib.Experiment,
  sources: dict[str, Any],
  model: nn.Module,
  mesh: Mesh,
) -> dict[str, Any]:
  """The config's evaluators on a mesh, by the name they report under."""
  evaluators = {}
  for name, config in experiment.evals.items():
    with errors.located(f"evals.{name}"):
      evaluators[name] = config_lib.module_for(config).Evaluator(
        config, model, sources[name], mesh
      )
  return evaluators
