"""What is found is what is there: counts, pairs, and the worst mistakes."""

import cv2
import numpy as np
import pytest

from tests.evals import pixels
from vit_jax.analysis import confusion
from vit_jax.core import errors
from vit_jax.data import base as sources, config as data_config
from vit_jax.evals import classification, confusion as evaluator_lib, knn
from vit_jax.preprocess.pipeline import Pipeline

# A row for each image: its class, and the pixels that are its logits. Image 3
# cannot be read.
IMAGES = (
  (0, (90, 0, 0)),
  (0, (0, 60, 0)),
  (0, (0, 80, 0)),
  (0, ()),
  (1, (0, 90, 0)),
  (1, (70, 0, 0)),
  (1, (75, 0, 0)),
  (1, (0, 50, 0)),
  (1, (95, 0, 0)),
)


class Source(sources.Source):
  """Grey images of one row of pixels, in files."""

  num_classes = 3
  fingerprint = {"name": "pixels", "version": "1", "split": "val"}

  def __init__(self, class_names=("ant", "bee", "cat")):
    self.class_names = class_names

  def __len__(self):
    return len(IMAGES)

  def __getitem__(self, index):
    label, row = IMAGES[index]
    image = np.array([row], np.uint8)
    data = cv2.imencode(".png", image)[1].tobytes() if row else b"torn"
    return {"image": data, "label": label, "id": index}

  def where(self, index):
    return f"{index}.png"


def found(most=3, **fields):
  split = data_config.Split(
    "folder:x", "val", Pipeline.parse("decode(1)|value_range(0, 25)"), "skip"
  )
  evaluator = evaluator_lib.Evaluator(
    evaluator_lib.Config(data=split),
    pixels.Pixels(),
    {"data": Source(**fields)},
    pixels.mesh(),
  )
  return confusion._findings("val", evaluator, {"params": {}}, most)


def test_findings_by_hand():
  findings = found()
  assert (findings.name, findings.data) == ("val", "folder:x, split val")
  assert findings.class_names == ("ant", "bee", "cat")
  assert findings.counts.tolist() == [3, 5, 0]
  assert findings.right.tolist() == [1, 2, 0]
  # The most frequent first.
  assert list(findings.pairs.items()) == [((1, 0), 3), ((0, 1), 2)]
  assert findings.mean == pytest.approx((1 / 3 + 2 / 5) / 2)
  assert [(m.where, m.label, m.predicted) for m in findings.mistakes] == [
    ("8.png", "bee", "ant"),
    ("2.png", "ant", "bee"),
    ("6.png", "bee", "ant"),
  ]
  worst = findings.mistakes[0]
  # As the model sees it.
  assert worst.image.tolist() == [[[95], [0], [0]]]
  logit = 25 * 95 / 255
  assert worst.confidence == pytest.approx(1 / (1 + 2 * np.exp(-logit)))


def test_classes_without_names_are_numbers():
  assert found(class_names=()).mistakes[0].label == "1"


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
