"""An evaluator: accuracy in which every class has the same weight."""

import dataclasses
from typing import Any

import numpy as np

from vit_jax.evals import base


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Balanced accuracy on a split."""


class Evaluator(base.OnData):
  """The mean over classes of the accuracy on the images of each class."""

  def score(self, variables: Any, batch: base.Batch) -> base.Batch:
    logits = self.logits(variables, batch)
    label = base.one_label(batch)
    return {"label": label, "hit": logits.argmax(axis=-1) == label}

  def summary(self, values: base.Values) -> base.Scores:
    """balanced_accuracy, and the number of examples."""
    of_class = [
      values["hit"][values["label"] == label]
      for label in np.unique(values["label"])
    ]
    accuracy = float(np.mean([base.mean(hits) for hits in of_class]))
    return {"balanced_accuracy": accuracy, **self.data.counts(values)}
