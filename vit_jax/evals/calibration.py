"""Calibration of a classifier's probabilities."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped
import numpy as np

from vit_jax.core import errors
from vit_jax.evals import base


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Calibration on a split.

  Attributes:
    bins: number of bins of the confidence, of equal width.
  """

  bins: int = 15

  def __post_init__(self):
    super().__post_init__()
    if self.bins < 1:
      raise errors.about(self, "{bins} must be at least 1")


class Evaluator(base.OnData):
  """Calibration error, log-likelihood and Brier score of the softmax."""

  def score(
    self, variables: Any, batch: base.Batch
  ) -> dict[str, Shaped[Array, "B"]]:
    logits = self.logits(variables, batch)
    label = base.one_label(batch)
    target = jax.nn.one_hot(label, logits.shape[-1])
    log_p = jax.nn.log_softmax(logits)
    return {
      "confidence": jnp.exp(log_p.max(axis=-1)),
      "correct": logits.argmax(axis=-1) == label,
      "nll": -(target * log_p).sum(axis=-1),
      "brier": jnp.square(jnp.exp(log_p) - target).sum(axis=-1),
    }

  def summary(self, values: base.Values) -> base.Scores:
    """ece; nll (nats) and brier are means over examples.

    nll is -log p of the label; brier the sum over all classes of
    (p - target)^2, from 0 to 2 (Brier, 1950).
    """
    error = expected_calibration_error(
      values["confidence"], values["correct"], self.config.bins
    )
    return {
      "ece": error,
      "nll": base.mean(values["nll"]),
      "brier": base.mean(values["brier"]),
      **self.data.counts(values),
    }


def expected_calibration_error(
  confidence: Float[np.ndarray, "n"], correct: Bool[np.ndarray, "n"], bins: int
) -> float:
  """Mean distance between confidence and accuracy, weighted by bin size.

  Bin m of M holds confidences in ((m - 1) / M, m / M]; empty ones count
  nothing. Source: equation 3, arXiv:1706.04599, which takes M = 15.
  """
  index = np.ceil(confidence * np.float32(bins)).astype(int) - 1
  index = index.clip(0, bins - 1)
  gap = correct.astype(np.float64) - confidence
  sums = np.bincount(index, weights=gap, minlength=bins)
  return float(np.abs(sums).sum() / len(confidence))
