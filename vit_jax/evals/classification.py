"""Top-1, top-5 and loss of a classifier; each example counts exactly once.

ImageNet-V2 needs nothing else: its labels are ImageNet's, so it is the data
set "tfds:imagenet_v2/matched-frequency" (or another of its three samples) of
this evaluator. Source: arXiv:1902.10811.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vit_jax.data import base as sources
from vit_jax.evals import examples
from vit_jax.losses import classification


@dataclasses.dataclass(frozen=True)
class Config(examples.OnSplit):
  """Classification accuracy on a split.

  Attributes:
    loss: the loss that is reported.
  """

  loss: Literal["softmax", "sigmoid"] = "softmax"


class Evaluator:
  """Scores a model on one split.

  Of an example with several labels each of them is right.

  Args:
    config: what to score.
    model: the module whose `out["logits"]` is scored.
    split_sources: the examples, under "data".
    mesh: the devices.
  """

  def __init__(
    self,
    config: Config,
    model: nn.Module,
    split_sources: Mapping[str, sources.Source],
    mesh: Mesh,
  ):
    xent = classification.LOSSES[config.loss]

    def score(variables: Any, batch: dict[str, jax.Array]):
      logits = model.apply(variables, batch["image"])["logits"]
      target = classification.targets(batch["label"], logits.shape[-1])
      best = jax.lax.top_k(logits, min(5, logits.shape[-1]))[1]
      hit = jnp.take_along_axis(target, best, axis=-1) > 0
      return {
        "top_1": hit[:, 0],
        "top_5": hit.any(axis=-1),
        "loss": xent(logits, target),
      }

    source = split_sources["data"]
    self.rows = examples.Rows(
      config.data, source, config.batch_size, mesh, score
    )

  def __call__(
    self, variables: Any, stop: Callable[[], Any] = examples.never
  ) -> dict[str, float] | None:
    """Means over the split, and the number of examples.

    Args:
      variables: {"params": ..., and the model's other variables}.
      stop: asked between batches; what is true stops, and the result is None.
    """
    values = self.rows(variables, stop)
    if values is None:
      return None
    means = {name: examples.mean(value) for name, value in values.items()}
    return {**means, **self.rows.counts(values)}
