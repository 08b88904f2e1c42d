"""Top-1, top-5 and loss of a classifier; each example counts exactly once.

ImageNet-V2 needs nothing else: its labels are ImageNet's, so it is the data
set "tfds:imagenet_v2/matched-frequency" (or another of its three samples) of
this evaluator. Source: arXiv:1902.10811.
"""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Shaped

from vit_jax.evals import base
from vit_jax.losses import classification


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Classification accuracy on a split.

  Attributes:
    loss: the loss that is reported.
  """

  loss: Literal["softmax", "sigmoid"] = "softmax"


class Evaluator(base.OnData):
  """top_1, top_5 and loss, means over a split, and the number of examples.

  If an example has several labels, each of them is right.
  """

  def score(
    self, variables: Any, batch: base.Batch
  ) -> dict[str, Shaped[Array, "B"]]:
    logits = self.logits(variables, batch)
    return scored(logits, batch["label"], self.config.loss)


def scored(
  logits: Float[Array, "B C"], label: Integer[Array, "B *K"], loss: str
) -> dict[str, Shaped[Array, "B"]]:
  """top_1 and top_5, whether they hit, and the loss of each example.

  Args:
    logits: of each example.
    label: a class, or K classes padded with -1.
    loss: a key of `losses.classification.LOSSES`.
  """
  target = classification.targets(label, logits.shape[-1])
  best = jax.lax.top_k(logits, min(5, logits.shape[-1]))[1]
  hit = jnp.take_along_axis(target, best, axis=-1) > 0
  return {
    "top_1": hit[:, 0],
    "top_5": hit.any(axis=-1),
    "loss": classification.LOSSES[loss](logits, target),
  }
