"""The contract of objectives: what a module of this package defines.

An objective is one file with two classes. `Config` derives from the `Config`
below; it holds the fields, and checks the whole experiment before a device is
touched. `Task` derives from the `Task` below; it is what training runs. Nothing
outside of the file knows which objective it is.

In each step, for parameters p, averaged parameters a and the task's state s:

    batch = augment(preprocessed batch, key)
    loss, (metrics, s) = loss((p, a, s), batch, key, step), its gradient in p
    p, a = the optimiser's update of p, and the new average
    s = after_update((p, a, s), step)

All of it is traced into one compiled function: it is pure, and all that is
random comes from the keys.
"""

import abc
from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from flax import linen as nn, struct
from jaxtyping import Array, Float, Integer, Key, Num, Shaped

from vit_jax.core import config as config_lib, duration, mesh as mesh_lib

Batch: TypeAlias = dict[str, Shaped[Array, "B ..."]]
Step: TypeAlias = Integer[Array, ""]
# Sum and count of what is averaged, over all examples that it was computed for.
Metrics: TypeAlias = dict[str, tuple[Float[Array, ""], Num[Array, ""]]]

# The name, among parameters and in the task state, of what belongs to the task.
OWN = "task"


class Variables(struct.PyTreeNode):
  """What a task sees of the training state.

  Attributes:
    params: the parameters that are trained: the model's, and the task's own
      under `OWN`.
    ema: averages of them (config `optim.average`); {} if they are not kept.
    task_state: the model's other collections by name, such as "batch_stats",
      and what the task itself keeps, such as a teacher or a queue, under `OWN`.
    weights: the variables of each model that `Config.weights` names; they never
      change and are not saved.
  """

  params: Any
  ema: Any
  task_state: Any
  weights: Any = dataclasses.field(default_factory=dict)


class Aux(struct.PyTreeNode):
  """What the loss gives beside its value.

  Attributes:
    metrics: (sum, count) by name. They are added up over microbatches and
      devices before they are divided, so that the mean is exact. A metric that
      counted nothing in a step is left out of that step's row.
    state: the task's state after this (micro-)batch.
  """

  metrics: Metrics
  state: Any


@runtime_checkable
class Weights(Protocol):
  """Weights of another model, loaded from a checkpoint.

  Attributes:
    model: its Flax module.
    variables: what `model.apply` takes.
  """

  @property
  def model(self) -> nn.Module: ...

  @property
  def variables(self) -> Mapping[str, Any]: ...


@dataclasses.dataclass(frozen=True)
class Config:
  """What the Config of every objective has.

  Attributes:
    uses_labels: whether training needs labels of the classes of the model's
      head.
  """

  uses_labels: ClassVar[bool] = False

  @property
  def least_classes(self) -> int:
    """The fewest classes that the labels must tell apart."""
    return 1

  def check(self, experiment: Any) -> None:
    """Checks all that depends on other parts of the config.

    Called when an `experiment.Experiment` is built, before data is opened or a
    device is touched. `experiment.model` is the model's config.

    Raises:
      ConfigError: the objective cannot be trained like this; names the fields
        by their whole paths.
    """
    del experiment

  def weights(self) -> Mapping[str, str]:
    """Paths of checkpoints that the task needs, such as {"teacher": path}.

    Training loads them, in any format that `checkpoints.load` reads, and hands
    them to the task by these names.
    """
    return {}


class Task(abc.ABC):
  """An objective, bound to a model and to the length of a run.

  Args:
    config: the objective's own config.
    model: the Flax module that is trained; it may be applied in parts, with
      `method=`, and several times, to images of several sizes.
    lengths: total_steps, batch_size and epoch_examples of the run.
    weights: what `config.weights()` asked for.

  Raises:
    ConfigError: a duration of the config does not fit the run.
  """

  def __init__(
    self,
    config: Any,
    model: nn.Module,
    lengths: Mapping[str, int],
    weights: Mapping[str, Weights] | None = None,
  ):
    self.config = config
    self.model: Any = model
    self.lengths = lengths
    self.weights = dict(weights or {})

  def steps(self, length: duration.Duration) -> int:
    """A duration of the config in optimiser steps."""
    return length.steps(
      batch_size=self.lengths["batch_size"],
      epoch_examples=self.lengths["epoch_examples"],
      total=self.lengths["total_steps"],
    )

  def init(
    self, key: Key[Array, ""], images: Float[Array, "B h w c"]
  ) -> tuple[Any, Any]:
    """Draws the first parameters and the first task state.

    By default these are the model's, and its other collections.
    """
    collections = dict(self.model.init(key, images))
    return collections.pop("params"), collections

  def begin(self, variables: Variables) -> Any:
    """The task state at step 0, once the first parameters are known.

    These may come from a checkpoint instead of from `init`; whatever is a copy
    of them, such as a teacher, is made here.
    """
    return variables.task_state

  @abc.abstractmethod
  def augment(self, batch: Batch, key: Key[Array, ""]) -> Batch:
    """What `loss` gets, from a batch as preprocessing leaves it.

    Sees the whole batch, before it is cut into microbatches.
    """

  @abc.abstractmethod
  def loss(
    self,
    variables: Variables,
    batch: Batch,
    key: Key[Array, ""],
    step: Step,
  ) -> tuple[Float[Array, ""], Aux]:
    """The loss of a (micro-)batch, a mean over its examples.

    Its gradient is taken in `variables.params` alone. Microbatches count
    alike, so every example should weigh the same.

    Args:
      variables: their task state is what the microbatch before has left.
      batch: rows of what `augment` returned.
      key: random key of this step and microbatch.
      step: optimiser steps done before this one.
    """

  def after_update(self, variables: Variables, step: Step) -> Any:
    """The task state at the end of a step.

    Args:
      variables: parameters and averages after the optimiser's update, and the
        task state that `loss` has left.
      step: as in `loss`.
    """
    del step
    return variables.task_state

  def sharding_rules(self) -> mesh_lib.Rules:
    """Where the parameters live, see `core.mesh.shardings`.

    By default the model's rules; a task with large parameters of its own adds
    rules whose patterns begin with "task/".
    """
    config = self.model.config
    return config_lib.module_for(config).sharding_rules(config)

  def state_sharding_rules(self) -> mesh_lib.Rules:
    """Where the task state lives; by default every device has all of it."""
    return ()

  def model_paths(self, variables: Variables) -> dict[str, str]:
    """Where in the training state the model's variables are that are used.

    They are what evaluators score during training, and what `predict`,
    `convert` and all others load from the run's checkpoints, which hold these
    paths.

    Args:
      variables: arrays, or their shapes.

    Returns:
      Paths such as "ema" or "task_state/task/teacher", by the model's
      collection. By default the averaged parameters, where averages are kept.
    """
    others = {k: f"task_state/{k}" for k in of_model(variables.task_state)}
    return {"params": "ema" if variables.ema else "params", **others}

  def evaluated(self, variables: Variables) -> dict[str, Any]:
    """The model's variables that lie at `model_paths`."""
    roots = {k: getattr(variables, k) for k in ("params", "ema", "task_state")}
    return {
      collection: of_model(
        functools.reduce(lambda node, key: node[key], path.split("/"), roots)
      )
      for collection, path in self.model_paths(variables).items()
    }

  def apply(
    self,
    variables: Variables,
    images: Float[Array, "B h w c"],
    key: Key[Array, ""],
    **arguments: Any,
  ) -> tuple[Any, Any]:
    """Applies the model to a batch that it is trained on.

    Args:
      variables: variables of the task.
      images: what the model is called with.
      key: random key for dropout and stochastic depth.
      **arguments: more of `model.apply`, such as `train` and `method`.

    Returns:
      What the model returns, and the task state with the model's collections
      as the call has left them.
    """
    collections = of_model(variables.task_state)
    out, changed = self.model.apply(
      {"params": of_model(variables.params), **collections},
      images,
      rngs={"dropout": key},
      mutable=list(collections),
      **arguments,
    )
    return out, {**variables.task_state, **changed}


DEFINES = {"Config": Config, "Task": Task}


def of_model(tree: Mapping[str, Any]) -> dict[str, Any]:
  """The entries of parameters or of a task state that are the model's."""
  return {name: value for name, value in tree.items() if name != OWN}
