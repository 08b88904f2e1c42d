"""What is found is what is there: counts, pairs, and the worst mistakes."""

import cv2
import numpy as np
import pytest

from vit_jax.analysis import confusion
from vit_jax.core import errors
from vit_jax.data import base as sources, config as data_config
from vit_jax.evals import classification, confusion as evaluator_lib, knn
from vit_jax.preprocess.pipeline import Pipeline


class Source(sources.Source):
  num_classes = 3
  class_names = ("ant", "bee", "cat")

  def __len__(self):
    return 8

  def __getitem__(self, index):
    image = np.full((4, 6, 3), index, np.uint8)
    return {
      "image": cv2.imencode(".png", image)[1].tobytes(),
      "label": 0,
      "id": index,
    }

  def where(self, index):
    return f"{index}.png"


CONFIG = evaluator_lib.Config(
  data=data_config.Split(
    "folder:x", "val", Pipeline.parse("decode|resize(2)|value_range(-1, 1)")
  )
)


class Evaluator(evaluator_lib.Evaluator):
  """Has scored seven examples."""

  def __init__(self):
    self.sources, self.config = {"data": Source()}, CONFIG

  def data(self, variables, stop):
    del variables, stop
    # Example 3 could not be read, so it is not there.
    return {
      "index": np.array([0, 1, 2, 4, 5, 6, 7]),
      "label": np.array([0, 0, 0, 1, 1, 1, 1]),
      "predicted": np.array([0, 1, 1, 1, 0, 1, 0]),
      "confidence": np.array([0.9, 0.6, 0.8, 0.9, 0.7, 0.5, 0.95]),
    }


def test_findings_by_hand():
  findings = confusion._findings("val", Evaluator(), {}, most=3)
  assert findings.data == "folder:x, split val"
  assert findings.counts.tolist() == [3, 4, 0]
  assert findings.right.tolist() == [1, 2, 0]
  assert findings.pairs == {(0, 1): 2, (1, 0): 2}
  assert findings.mean == pytest.approx((1 / 3 + 2 / 4) / 2)
  assert [(m.where, m.label, m.predicted) for m in findings.mistakes] == [
    ("7.png", "bee", "ant"),
    ("2.png", "ant", "bee"),
    ("5.png", "bee", "ant"),
  ]
  # As the model sees it.
  assert findings.mistakes[0].image.tolist() == np.full((2, 2, 3), 7).tolist()


def test_any_classifier_is_looked_at():
  data = data_config.Split("folder:x", "test")
  made = confusion._evaluators(
    {
      "a": classification.Config(data=data, batch_size=7, loss="sigmoid"),
      "b": knn.Config(),
    }
  )
  assert made == {
    "a": evaluator_lib.Config(data=data, batch_size=7, loss="sigmoid")
  }
  with pytest.raises(errors.ConfigError, match=r"but b \(knn\); give --config"):
    confusion._evaluators({"b": knn.Config()})
