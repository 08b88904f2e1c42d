"""Weighted nearest neighbours, by hand."""

import numpy as np
import pytest

from tests.evals import pixels
from vit_jax.core import errors
from vit_jax.evals import knn


def at(cosine, length=1.0):
  """A vector in the plane whose cosine to (1, 0) is this."""
  return [length * cosine, length * np.sqrt(1 - cosine**2)]


# Cosine to the query (5, 0), length, class.
TRAIN = [(0.5, 2, 1), (0.96, 0.1, 0), (-0.9, 50, 2), (0.6, 30, 1)]


def run(neighbours, temperature, label=0, queries=1, num_classes=3):
  train = pixels.Source(
    [at(c, r) for c, r, _ in TRAIN], [y for *_, y in TRAIN], 3
  )
  test = pixels.Source([[5.0, 0.0]] * queries, [label] * queries, num_classes)
  config = knn.Config(
    data=pixels.SPLIT,
    train=pixels.SPLIT,
    neighbours=neighbours,
    temperature=temperature,
    batch_size=8,
  )
  return pixels.scores(knn, config, train=train, data=test)


def test_the_nearest_has_the_largest_cosine():
  assert run((1,), 0.1) == {"1_nn": 1.0, "examples": 1}


def test_votes_are_weighted():
  """Weights exp(9.6) for class 0, exp(6) + exp(5) for class 1."""
  assert run((3,), 0.1) == {"3_nn": 1.0, "examples": 1}


def test_a_high_temperature_counts_votes():
  """Weights exp(0.096) for class 0, exp(0.06) + exp(0.05) for class 1."""
  scores = run((1, 2, 3, 4), 10.0)
  found = [scores[f"{k}_nn"] for k in (1, 2, 3, 4)]
  assert found == [1.0, 1.0, 0.0, 0.0]
  assert run((3,), 10.0, label=1)["3_nn"] == 1.0


def test_every_query_counts_once():
  assert run((1,), 0.1, queries=21) == {"1_nn": 1.0, "examples": 21}
  assert run((1,), 0.1, label=1, queries=21)["1_nn"] == 0.0


def test_errors():
  with pytest.raises(errors.ConfigError, match=r"neighbours=\(5,\).*at most 4"):
    run((5,), 0.1)
  with pytest.raises(errors.ConfigError, match=r"train\.name has 3, data"):
    run((1,), 0.1, num_classes=2)
  with pytest.raises(errors.ConfigError, match=r"temperature=0\.0"):
    knn.Config(temperature=0.0)
  with pytest.raises(errors.ConfigError, match="neighbours="):
    knn.Config(neighbours=())
