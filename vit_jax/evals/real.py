"""ImageNet-ReaL: a prediction is right if it is one of several labels."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool

from vit_jax.evals import base
from vit_jax.losses import classification


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Accuracy against sets of labels."""


class Evaluator(base.OnData):
  """The share of images whose best class is in their set of labels.

  Images without a label (3,163 of ImageNet's 50,000) are left out. Source:
  section 3, arXiv:2006.07159.

  Labels are int [B, K], padded with -1, or float [B, C], above 0 for the
  classes of the set.
  """

  def score(
    self, variables: Any, batch: base.Batch
  ) -> dict[str, Bool[Array, "B"]]:
    logits = self.logits(variables, batch)
    target = classification.targets(batch["label"], logits.shape[-1])
    best = logits.argmax(axis=-1, keepdims=True)
    hit = jnp.take_along_axis(target, best, axis=-1)[:, 0] > 0
    return {"hit": hit, "labelled": (target > 0).any(axis=-1)}

  def summary(self, values: base.Values) -> base.Scores:
    """top_1, and how many examples have labels and how many have none."""
    labelled = values["labelled"]
    counts = self.data.counts(values)
    counts["examples"] = int(labelled.sum())
    hits = int(values["hit"].sum())
    return {
      "top_1": hits / max(counts["examples"], 1),
      **counts,
      "unlabelled": int((~labelled).sum()),
    }
