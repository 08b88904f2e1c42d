"""The contract of evaluators, and what they share.

An evaluator is one file with two classes: `Config` derives from the `Config`
below, `Evaluator` from the `Evaluator` below, mostly by way of `OnData`. Every
field of a Config that is a `data.config.Split` is opened before the run starts
and handed over by the field's name.

Whatever the batch size and the mesh, each example goes through the model
exactly once; batches are padded and what is padded is not counted.
"""

import abc
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, ClassVar, TypeAlias

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Integer, Num, Shaped
import numpy as np

from vit_jax.core import duration, errors, mesh as mesh_lib
from vit_jax.data import base as sources, config as data_config, pipeline

# Arrays by name: of the examples of a batch, and of all examples.
Batch: TypeAlias = dict[str, Shaped[Array, "B ..."]]
Values: TypeAlias = dict[str, Shaped[np.ndarray, "_ ..."]]
Scores: TypeAlias = dict[str, float]


def never() -> bool:
  """The `stop` of an evaluation that nothing stops."""
  return False


@dataclasses.dataclass(frozen=True)
class Config:
  """What every evaluator's Config has.

  Attributes:
    data: the split that is scored and its preprocessing.
    every: how often during training; always at the end as well.
    batch_size: examples at a time; any number, it never changes the result.
    uses_head: whether the model needs its head.
    labels_of_head: whether the labels are the head's classes.
  """

  data: data_config.Split = dataclasses.field(
    default_factory=lambda: data_config.Split(split="test")
  )
  every: duration.Duration = duration.Duration(1, "epochs")
  batch_size: int = 256
  uses_head: ClassVar[bool] = True
  labels_of_head: ClassVar[bool] = True

  def __post_init__(self):
    if self.batch_size < 1:
      raise errors.about(self, "{batch_size} must be at least 1")
    duration.check_distance("every", self.every)


class Evaluator(abc.ABC):
  """Scores the variables of a model.

  Args:
    config: what to score.
    model: the Flax module that is scored.
    split_sources: the examples of each field of `config` that is a split.
    mesh: the devices.
  """

  def __init__(
    self,
    config: Any,
    model: nn.Module,
    split_sources: Mapping[str, sources.Source],
    mesh: Mesh,
  ):
    self.config = config
    self.model: Any = model
    self.sources = split_sources
    self.mesh = mesh

  def rows(self, field: str, f: Callable[[Any, Batch], Batch]) -> "Rows":
    """`Rows` of the examples of a field."""
    split = getattr(self.config, field)
    size = self.config.batch_size
    return Rows(split, self.sources[field], size, self.mesh, f)

  @abc.abstractmethod
  def __call__(
    self, variables: Any, stop: Callable[[], Any] = never
  ) -> Scores | None:
    """The scores by name; the docstring of each evaluator says which.

    Args:
      variables: {"params": ..., and the model's other variables}.
      stop: called between batches; a true value stops, and the result is None.
    """


class OnData(Evaluator):
  """An evaluator that computes numbers of each example of the split `data`."""

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    self.data = self.rows("data", self.score)

  @abc.abstractmethod
  def score(self, variables: Any, batch: Batch) -> Batch:
    """The values of a batch of examples, by name; compiled."""

  def logits(self, variables: Any, batch: Batch) -> Float[Array, "B C"]:
    """The model's logits of the images of a batch."""
    return self.model.apply(variables, batch["image"])["logits"]

  def summary(self, values: Values) -> Scores:
    """The scores, from the values of all examples; means by default."""
    means = {name: mean(value) for name, value in values.items()}
    return {**means, **self.data.counts(values)}

  def __call__(
    self, variables: Any, stop: Callable[[], Any] = never
  ) -> Scores | None:
    values = self.data(variables, stop)
    return None if values is None else self.summary(values)


DEFINES = {"Config": Config, "Evaluator": Evaluator}


class Rows:
  """Computes something for each example of a split, over a mesh.

  Args:
    split: how examples are read.
    source: the examples.
    batch_size: examples at a time.
    mesh: the devices; each computes its rows of a batch.
    f: (variables, batch) -> values of the examples; compiled.
  """

  def __init__(
    self,
    split: data_config.Split,
    source: sources.Source,
    batch_size: int,
    mesh: Mesh,
    f: Callable[[Any, Batch], Batch],
  ):
    self._split = split
    self._source = source
    self._mesh = mesh
    # Any batch size must work on any mesh; padding rows never count.
    ways = mesh_lib.batch_ways(mesh)
    self._batch_size = -(-batch_size // ways) * ways

    def rows(variables: Any, batch: Batch) -> tuple[Batch, Batch]:
      seen = {k: batch[k] for k in ("mask", "skipped") if k in batch}
      # For `mesh.split_batch`.
      with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        return f(variables, split.preprocess.device(batch)), seen

    self._rows = jax.jit(rows, out_shardings=mesh_lib.replicated(mesh))

  def __call__(self, variables: Any, stop: Callable[[], Any]) -> Values | None:
    """Values of the examples that can be read, in their order.

    Args:
      variables: what `f` takes.
      stop: asked between batches; what is true stops, and the result is None.

    Returns:
      Arrays in the memory of every process.

    Raises:
      DataError: an example was lost, or none can be read.
    """
    parts: list[Values] = []
    scored = 0
    batches = pipeline.eval_batches(
      self._source,
      self._split.preprocess,
      batch_size=self._batch_size,
      rows=mesh_lib.local_rows(self._mesh, self._batch_size),
      on_error=self._split.on_error,
    )
    for batch in pipeline.iterate(batches):
      if stop():
        return None
      result = self._rows(variables, mesh_lib.put_batch(self._mesh, batch))
      values, seen = jax.device_get(result)
      real = seen["mask"] > 0
      scored += sum(int(count.sum()) for count in seen.values())
      parts.append({name: value[real] for name, value in values.items()})
    name = f"{self._split.name}, split {self._split.split}"
    if scored != len(self._source):
      raise errors.DataError(
        f"scored {scored} of {len(self._source)} examples of {name}"
      )
    whole = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    if not len(next(iter(whole.values()))):
      raise errors.DataError(f"no example of {name} can be read")
    return whole

  def counts(self, values: Values) -> dict[str, int]:
    """The number of examples, and of those that could not be read."""
    examples = len(next(iter(values.values())))
    if self._split.on_error != "skip":
      return {"examples": examples}
    return {"examples": examples, "skipped": len(self._source) - examples}


def mean(values: Shaped[np.ndarray, "n ..."]) -> float:
  """The mean over examples, in float64 whatever the batches were."""
  return float(values.mean(dtype=np.float64))


def features(model: nn.Module) -> Callable[[Any, Batch], Batch]:
  """For `Rows`: what the head sees, "feature" [B, D], and "label" [B]."""

  def f(variables: Any, batch: Batch) -> dict[str, Num[Array, "B *D"]]:
    out: Any = model.apply(variables, batch["image"])
    feature = out["pre_logits"].astype(jnp.float32)
    return {"feature": feature, "label": one_label(batch)}

  return f


def one_label(batch: Batch) -> Integer[Array, "B"]:
  """The labels of a batch.

  Raises:
    ConfigError: an example has several labels, or none.
  """
  label = batch["label"]
  if label.ndim != 1 or not jnp.issubdtype(label.dtype, jnp.integer):
    raise errors.ConfigError(
      f"the label is {label.dtype} {label.shape[1:]} an example; this evaluator"
      " needs one class each"
    )
  return label


def same_classes(split_sources: Mapping[str, sources.Source]) -> int:
  """The number of classes that all splits of an evaluator have.

  Raises:
    ConfigError: the numbers differ, or are 0.
  """
  counts = {name: s.num_classes for name, s in split_sources.items()}
  if len(set(counts.values())) > 1 or not all(counts.values()):
    shown = ", ".join(f"{{{k}.name}} has {v}" for k, v in counts.items())
    raise errors.ConfigError(
      f"an evaluator's splits must have the same classes, but {shown}",
      {f"{k}.name": errors.PATH_ONLY for k in counts},
    )
  return next(iter(counts.values()))
