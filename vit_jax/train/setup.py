"""From a validated config and its data to everything that runs on a mesh."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vit_jax.core import config as config_lib, errors, mesh as mesh_lib, rng
from vit_jax.optim import base, ema
from vit_jax.train import experiment as experiment_lib, step as step_lib
from vit_jax.train.state import State


@dataclasses.dataclass(frozen=True)
class Run:
  """A run that is ready to start.

  Attributes:
    experiment: the validated config.
    inputs: the opened data.
    mesh: the devices.
    model: the Flax module.
    init: () -> State, born sharded.
    state: ShapeDtypeStructs with shardings, what a checkpoint restores to.
    step: (state, batch) -> (state, metrics), jitted; donates the state.
    evaluators: by the name they report under.
  """

  experiment: experiment_lib.Experiment
  inputs: experiment_lib.Inputs
  mesh: Mesh
  model: nn.Module
  init: Callable[[], State]
  state: State
  step: Callable[[State, Any], tuple[State, dict[str, jax.Array]]]
  evaluators: dict[str, Any]


def make_model(experiment: experiment_lib.Experiment) -> nn.Module:
  """The Flax module of the config, with the runtime's speed knobs."""
  runtime = experiment.runtime
  return config_lib.module_for(experiment.model).Model(
    experiment.model, unroll=runtime.unroll, remat=runtime.remat
  )


def build(
  experiment: experiment_lib.Experiment, inputs: experiment_lib.Inputs
) -> Run:
  """Builds the run on all devices.

  Raises:
    ConfigError: the batch or a parameter cannot be split over the mesh.
  """
  mesh = mesh_lib.make(experiment.runtime.mesh)
  check_divisible(experiment, mesh)
  model = make_model(experiment)
  task = config_lib.module_for(experiment.task).Task(
    experiment.task, model, experiment.model.num_classes
  )
  optim = experiment.optim
  lengths = dict(
    total_steps=inputs.total_steps,
    batch_size=experiment.data.batch_size,
    epoch_examples=len(inputs.train),
  )
  words = rng.root(experiment.seed)
  images = jnp.zeros((1, *inputs.image_shape), jnp.float32)
  shapes = jax.eval_shape(task.init, rng.named(words, "init"), images)[0]
  schedule = base.learning_rate(optim, **lengths)
  tx = base.make(optim, schedule, shapes)

  def init() -> State:
    words = rng.root(experiment.seed)
    params, task_state = task.init(rng.named(words, "init"), images)
    return State(
      step=jnp.zeros((), jnp.int32),
      params=params,
      opt_state=tx.init(params),
      task_state=task_state,
      ema=ema.init(optim.average, params),
      rng=words,
    )

  state = _sharded(jax.eval_shape(init), experiment, tx, mesh)
  shardings = jax.tree.map(lambda x: x.sharding, state)
  step = step_lib.make(
    task,
    tx,
    schedule,
    functools.partial(ema.update, optim.average),
    experiment.data.train.preprocess.device,
    mesh,
    experiment.runtime.microbatches,
  )
  return Run(
    experiment=experiment,
    inputs=inputs,
    mesh=mesh,
    model=model,
    init=jax.jit(init, out_shardings=shardings),
    state=state,
    step=jax.jit(
      step,
      donate_argnums=0,
      out_shardings=(shardings, mesh_lib.replicated(mesh)),
    ),
    evaluators=make_evaluators(experiment, inputs.evals, model, mesh),
  )


def make_evaluators(
  experiment: experiment_lib.Experiment,
  sources: dict[str, Any],
  model: nn.Module,
  mesh: Mesh,
) -> dict[str, Any]:
  """The config's evaluators on a mesh, by the name they report under."""
  return {
    name: config_lib.module_for(config).Evaluator(
      config, model, sources[name], mesh
    )
    for name, config in experiment.evals.items()
  }
