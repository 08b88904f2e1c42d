"""Calibration, by hand."""

import numpy as np
import pytest

from tests.evals import pixels
from vit_jax.core import errors
from vit_jax.evals import calibration

# Probabilities of three classes, label.
CASES = [
  ([0.90, 0.06, 0.04], 0),
  ([0.95, 0.03, 0.02], 1),
  ([0.20, 0.70, 0.10], 1),
  ([0.10, 0.25, 0.65], 2),
  ([0.50, 0.30, 0.20], 2),
]


def test_by_hand():
  source = pixels.Source(
    np.log([p for p, _ in CASES]), [label for _, label in CASES]
  )
  config = calibration.Config(data=pixels.SPLIT, bins=5)
  scores = pixels.scores(calibration, config, data=source)
  # Bins of width 0.2: (0.4, 0.6] holds 0.5; (0.6, 0.8] 0.7 and 0.65; the last
  # one 0.9 and 0.95.
  ece = (abs(0 - 0.5) + abs(2 - 1.35) + abs(1 - 1.85)) / 5
  nll = -np.log([0.90, 0.03, 0.70, 0.65, 0.20]).mean()
  brier = (
    (0.01 + 0.0036 + 0.0016)
    + (0.9025 + 0.9409 + 0.0004)
    + (0.04 + 0.09 + 0.01)
    + (0.01 + 0.0625 + 0.1225)
    + (0.25 + 0.09 + 0.64)
  ) / 5
  assert scores == {
    "ece": pytest.approx(ece, abs=1e-6),
    "nll": pytest.approx(nll, abs=1e-6),
    "brier": pytest.approx(brier, abs=1e-6),
    "examples": 5,
  }


def test_a_confidence_on_an_edge_is_in_the_lower_bin():
  """0.2 is in (0, 0.2] with 0.1, 0.6 in (0.4, 0.6] with 0.5."""
  confidence = np.array([0.1, 0.2, 0.5, 0.6], np.float32)
  correct = np.array([True, False, False, True])
  found = calibration.expected_calibration_error(confidence, correct, 5)
  assert found == pytest.approx((abs(1 - 0.3) + abs(1 - 1.1)) / 4, abs=1e-7)


def test_confidence_is_accuracy():
  confidence = np.full(10, 0.7, np.float32)
  correct = np.arange(10) < 7
  found = calibration.expected_calibration_error(confidence, correct, 15)
  assert found == pytest.approx(0, abs=1e-7)


def test_one_label_each():
  source = pixels.Source([[1, 2]], [[0, 1]])
  with pytest.raises(errors.ConfigError, match="needs one class each"):
    pixels.scores(
      calibration, calibration.Config(data=pixels.SPLIT), data=source
    )


def test_config_errors():
  with pytest.raises(errors.ConfigError, match="bins=0"):
    calibration.Config(bins=0)
  with pytest.raises(errors.ConfigError, match="batch_size=0"):
    calibration.Config(batch_size=0)
