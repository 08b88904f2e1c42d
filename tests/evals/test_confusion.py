"""Scores by class, by hand and on the way that a run takes."""

import numpy as np
import pytest

from vit_jax.evals import confusion


def test_means_over_classes_by_hand():
  # Class 2 has no example; class 3 a single one, which is wrong.
  label = np.array([0, 0, 0, 0, 1, 1, 3])
  right = np.array([1, 1, 1, 1, 1, 0, 0], bool)
  np.testing.assert_array_equal(
    confusion.by_class(label, right), [1.0, 0.5, 0.0]
  )


class Counted:
  def counts(self, values):
    return {"examples": len(values["label"])}


def test_the_scores_are_those_of_classification_and_two_more():
  evaluator = object.__new__(confusion.Evaluator)
  evaluator.data = Counted()
  values = {
    "label": np.array([0, 0, 0, 1]),
    "top_1": np.array([True, True, True, False]),
    "top_5": np.ones(4, bool),
    "loss": np.array([0.0, 1.0, 2.0, 3.0]),
    "predicted": np.array([0, 0, 0, 0]),
    "confidence": np.ones(4),
    "index": np.arange(4),
  }
  assert evaluator.summary(values) == pytest.approx(
    {
      "top_1": 0.75,
      "top_5": 1.0,
      "loss": 1.5,
      "class_mean": 0.5,
      "class_least": 0.0,
      "examples": 4,
    }
  )
