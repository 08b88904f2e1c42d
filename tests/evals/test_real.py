"""ImageNet-ReaL, by hand."""

import numpy as np
import pytest

from tests.evals import pixels
from vit_jax.evals import real

# Best class, and the labels that are right.
CASES = [
  ([0, 5, 1, 2], [1, -1, -1]),  # the one label
  ([0, 5, 1, 2], [3, 1, 0]),  # one of three
  ([9, 5, 1, 2], [1, 2, 3]),  # none of three
  ([9, 5, 1, 2], [-1, -1, -1]),  # no label: left out
  ([0, 0, 1, 0], [0, 1, -1]),  # none of two
]


def run(labels):
  source = pixels.Source([logits for logits, _ in CASES], labels)
  return pixels.scores(real, real.Config(data=pixels.SPLIT), data=source)


def test_by_hand():
  scores = run([labels for _, labels in CASES])
  assert scores == {"top_1": 2 / 4, "examples": 4, "unlabelled": 1}


def test_sets_as_floats():
  sets = np.zeros((len(CASES), 4), np.float32)
  for row, (_, labels) in zip(sets, CASES, strict=True):
    row[[label for label in labels if label >= 0]] = 0.5
  assert run(sets)["top_1"] == 2 / 4


@pytest.mark.filterwarnings("error")
def test_no_image_has_a_label():
  scores = run([[-1]] * len(CASES))
  assert scores == {"top_1": 0.0, "examples": 0, "unlabelled": 5}
