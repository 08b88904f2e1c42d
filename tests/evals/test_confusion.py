"""Scores by class, and what is known of each example."""

import numpy as np
import pytest

from tests.evals import pixels
from vit_jax.evals import base, classification, confusion

# The last of four classes has no example; the first has most.
LABELS = [0, 0, 0, 1, 1, 2]
PREDICTED = [0, 0, 1, 1, 0, 1]
LOGITS = 3.0 * np.eye(4, dtype=np.float32)[PREDICTED]


def made(**fields):
  config = confusion.Config(data=pixels.SPLIT, **fields)
  source = pixels.Source(LOGITS, LABELS)
  return confusion.Evaluator(
    config, pixels.Pixels(), {"data": source}, pixels.mesh()
  )


def test_means_over_classes_by_hand():
  # Class 2 has no example; class 3 a single one, which is wrong.
  label = np.array([0, 0, 0, 0, 1, 1, 3])
  right = np.array([1, 1, 1, 1, 1, 0, 0], bool)
  np.testing.assert_array_equal(
    confusion.by_class(label, right), [1.0, 0.5, 0.0]
  )


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_the_scores_are_those_of_classification_and_two_more(loss):
  scores = made(loss=loss)({"params": {}})
  config = classification.Config(data=pixels.SPLIT, loss=loss)
  theirs = pixels.scores(
    classification, config, data=pixels.Source(LOGITS, LABELS)
  )
  assert theirs["top_1"] == pytest.approx(3 / 6)
  assert scores == pytest.approx(
    {**theirs, "class_mean": (2 / 3 + 1 / 2 + 0) / 3, "class_least": 0.0}
  )


@pytest.mark.parametrize(
  ("loss", "confidence"),
  [
    ("softmax", np.exp(3) / (np.exp(3) + 3)),
    ("sigmoid", np.exp(3) / (np.exp(3) + 1)),
  ],
)
def test_what_is_known_of_each_example(loss, confidence):
  values = made(loss=loss).data({"params": {}}, base.never)
  assert values["label"].tolist() == LABELS
  assert values["predicted"].tolist() == PREDICTED
  assert values["index"].tolist() == [*range(6)]
  np.testing.assert_allclose(values["confidence"], confidence, rtol=1e-5)
