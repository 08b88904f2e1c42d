"""Top-1, top-5 and loss of a classifier; each example counts exactly once."""

from collections.abc import Callable
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
from jax.sharding import Mesh

from vit_jax.core import duration, errors, mesh as mesh_lib
from vit_jax.data import config as data_config, pipeline, sources
from vit_jax.losses import classification


@dataclasses.dataclass(frozen=True)
class Config:
  """Classification accuracy on a split.

  Attributes:
    data: the split and its preprocessing.
    every: how often during training; always at the end as well.
    batch_size: examples at a time; any number, it never changes the result.
    loss: the loss that is reported.
  """

  data: data_config.Split = dataclasses.field(
    default_factory=lambda: data_config.Split(split="test")
  )
  every: duration.Duration = duration.Duration(1, "epochs")
  batch_size: int = 256
  loss: Literal["softmax", "sigmoid"] = "softmax"

  def __post_init__(self):
    if self.batch_size < 1:
      raise errors.ConfigError(
        "{batch_size} must be at least 1", {"batch_size": self.batch_size}
      )


class Evaluator:
  """Scores a model on one split.

  Args:
    config: what to score.
    model: the module whose `out["logits"]` is scored.
    source: the examples.
    mesh: the devices.
  """

  def __init__(
    self, config: Config, model: nn.Module, source: sources.Source, mesh: Mesh
  ):
    self.config = config
    self.source = source
    self.mesh = mesh
    # Any batch size must work on any mesh; padding rows never count.
    ways = mesh_lib.batch_ways(mesh)
    self.batch_size = -(-config.batch_size // ways) * ways
    xent = classification.LOSSES[config.loss]

    def score(variables: Any, batch: dict[str, jax.Array]):
      batch = config.data.preprocess.device(batch)
      logits = model.apply(variables, batch["image"])["logits"]
      target = classification.targets(batch["label"], logits.shape[-1])
      best = jax.lax.top_k(logits, min(5, logits.shape[-1]))[1]
      hit = jax.numpy.take_along_axis(target, best, axis=-1) > 0
      mask = batch["mask"]
      sums = {
        "top_1": (hit[:, 0] * mask).sum(),
        "top_5": (hit.any(axis=-1) * mask).sum(),
        "loss": (xent(logits, target) * mask).sum(),
      }
      counts = {"examples": mask.sum()}
      if config.data.on_error == "skip":
        counts["skipped"] = batch["skipped"].sum()
      return sums, counts

    self.score = jax.jit(score, out_shardings=mesh_lib.replicated(mesh))

  def __call__(
    self, variables: Any, stop: Callable[[], Any] = lambda: None
  ) -> dict[str, float] | None:
    """Means over the split, and the number of examples.

    Args:
      variables: {"params": ..., and the model's other variables}.
      stop: asked between batches; what is true stops, and the result is None.
    """
    batches = pipeline.eval_batches(
      self.source,
      self.config.data.preprocess,
      batch_size=self.batch_size,
      rows=mesh_lib.local_rows(self.mesh, self.batch_size),
      on_error=self.config.data.on_error,
    )
    totals: dict[str, float] = {}
    counts: dict[str, int] = {}
    for batch in pipeline.iterate(batches):
      if stop():
        return None
      del batch["id"]
      result = self.score(variables, mesh_lib.put_batch(self.mesh, batch))
      sums, seen = jax.device_get(result)
      for name, value in seen.items():
        counts[name] = counts.get(name, 0) + int(value)
      for name, value in sums.items():
        totals[name] = totals.get(name, 0.0) + float(value)
    if sum(counts.values()) != len(self.source):
      raise errors.DataError(
        f"scored {sum(counts.values())} of {len(self.source)} examples of"
        f" {self.config.data.name}, split {self.config.data.split}"
      )
    if not counts["examples"]:
      raise errors.DataError(
        f"no example of {self.config.data.name}, split"
        f" {self.config.data.split} can be read"
      )
    means = {k: total / counts["examples"] for k, total in totals.items()}
    return {**means, **counts}
