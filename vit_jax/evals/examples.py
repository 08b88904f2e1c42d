"""What evaluators share: each example goes through the model exactly once."""

from collections.abc import Callable
import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from vit_jax.core import duration, errors, mesh as mesh_lib
from vit_jax.data import base as sources, config as data_config, pipeline

Values = dict[str, np.ndarray]


def never() -> bool:
  """What is asked where nothing stops an evaluation."""
  return False


@dataclasses.dataclass(frozen=True)
class OnSplit:
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


class Rows:
  """Computes something for each example of a split, over a mesh.

  Args:
    split: how examples are read.
    source: the examples.
    batch_size: at a time.
    mesh: the devices; each computes its rows of a batch.
    f: (variables, batch) -> arrays [B, ...] by name; compiled.
  """

  def __init__(
    self,
    split: data_config.Split,
    source: sources.Source,
    batch_size: int,
    mesh: Mesh,
    f: Callable[[Any, dict[str, jax.Array]], dict[str, jax.Array]],
  ):
    self._split = split
    self._source = source
    self._mesh = mesh
    # Any batch size must work on any mesh; padding rows never count.
    ways = mesh_lib.batch_ways(mesh)
    self._batch_size = -(-batch_size // ways) * ways

    def rows(variables: Any, batch: dict[str, jax.Array]):
      seen = {k: batch[k] for k in ("mask", "skipped") if k in batch}
      # For `mesh.split_batch`.
      with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        return f(variables, split.preprocess.device(batch)), seen

    self._rows = jax.jit(rows, out_shardings=mesh_lib.replicated(mesh))

  def __call__(self, variables: Any, stop: Callable[[], Any]) -> Values | None:
    """Values [n, ...] of the examples that can be read, in their order.

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
      del batch["id"]
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


def mean(values: np.ndarray) -> float:
  """The mean over examples, in float64 whatever the batches were."""
  return float(values.mean(dtype=np.float64))


def features(
  model: nn.Module,
) -> Callable[[Any, dict[str, jax.Array]], dict[str, jax.Array]]:
  """For `Rows`: what the head sees, "feature" [B, D], and "label" int [B]."""

  def f(variables: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
    out = model.apply(variables, batch["image"])
    feature = out["pre_logits"].astype(jnp.float32)
    return {"feature": feature, "label": one_label(batch)}

  return f


def one_label(batch: dict[str, jax.Array]) -> jax.Array:
  """The labels int [B] of a batch.

  Raises:
    ConfigError: several labels an example, or none.
  """
  label = batch["label"]
  if label.ndim != 1 or not jnp.issubdtype(label.dtype, jnp.integer):
    raise errors.ConfigError(
      f"the label is {label.dtype} {label.shape[1:]} an example; this evaluator"
      " needs one class each"
    )
  return label


def same_classes(split_sources: dict[str, sources.Source]) -> int:
  """The number of classes that all splits of an evaluator have.

  Raises:
    ConfigError: they differ, or there are none.
  """
  found = {name: s.num_classes for name, s in split_sources.items()}
  if len(set(found.values())) > 1 or not all(found.values()):
    shown = ", ".join(f"{{{k}.name}} has {v}" for k, v in found.items())
    raise errors.ConfigError(
      f"an evaluator's splits must have the same classes, but {shown}",
      {f"{k}.name": errors.PATH_ONLY for k in found},
    )
  return next(iter(found.values()))
