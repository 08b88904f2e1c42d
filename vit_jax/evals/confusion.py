"""Accuracy by class, and what is taken for what.

`analysis/confusion.py` makes a page of what this evaluator finds, which `train`
does at the end of a run that has one.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, Shaped
import numpy as np

from vit_jax.evals import base, classification


@dataclasses.dataclass(frozen=True)
class Config(classification.Config):
  """Classification accuracy on a split of examples with one label each."""


class Evaluator(base.OnData):
  """The scores of `classification`, and means over classes."""

  def score(
    self, variables: Any, batch: base.Batch
  ) -> dict[str, Shaped[Array, "B"]]:
    logits = self.logits(variables, batch)
    label, loss = base.one_label(batch), self.config.loss
    squash = jax.nn.sigmoid if loss == "sigmoid" else jax.nn.softmax
    return {
      **classification.scored(logits, label, loss),
      "label": label,
      "predicted": logits.argmax(axis=-1),
      "confidence": squash(logits.astype(jnp.float32)).max(axis=-1),
      "index": batch["id"],
    }

  def summary(self, values: base.Values) -> base.Scores:
    """top_1, top_5, loss, and what a class that is rare hides in top_1.

    class_mean is the mean over classes of the share of their examples that is
    right, class_least the smallest such share.
    """
    right = by_class(values["label"], values["top_1"])
    return {
      **{k: base.mean(values[k]) for k in ("top_1", "top_5", "loss")},
      "class_mean": float(right.mean()),
      "class_least": float(right.min()),
      **self.data.counts(values),
    }


def by_class(
  label: Integer[np.ndarray, "N"], right: Bool[np.ndarray, "N"]
) -> Float[np.ndarray, "_"]:
  """The share of right examples of each class that has any."""
  counts = np.bincount(label)
  return np.bincount(label, weights=right)[counts > 0] / counts[counts > 0]
