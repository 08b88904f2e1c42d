"""Images with several labels each."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.data import manifests, trees
from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.losses import classification
from vit_jax.preprocess.pipeline import Pipeline


@pytest.fixture
def root(tmp_path):
  return trees.write(
    tmp_path, {f"images/{i}.png": trees.png(i) for i in range(6)}
  )


SEVERAL = [
  manifests.row(0, labels=["b", "a"], confidence=[0.9, 0.2]),
  manifests.row(1, labels=["c"], confidence=[0.5]),
  manifests.row(2, labels=[], confidence=[]),
  manifests.row(
    3, labels=["a", "b", "c"], confidence=[1, 0.5, 0.49], split="test"
  ),
]


def test_several_labels(root):
  file = manifests.jsonl(root, SEVERAL)
  train = base.open_source(f"multilabel:{file}", "train")
  test = base.open_source(f"multilabel:{file}", "test")
  assert manifests.by_file(train) == {
    0: [1, 0, -1],
    1: [2, -1, -1],
    2: [-1] * 3,
  }
  assert manifests.by_file(test) == {3: [0, 1, 2]}
  assert train[0]["label"].dtype == np.int32
  assert train.class_names == ("a", "b", "c")
  assert train.class_counts().tolist() == [1, 1, 1]


def test_labels_of_little_confidence_are_left_out(root):
  file = manifests.jsonl(root, SEVERAL)
  opened = [
    base.open_source(f"multilabel:{file}@0.5", s) for s in ("train", "test")
  ]
  assert manifests.by_file(opened[0]) == {0: [1, -1], 1: [2, -1], 2: [-1, -1]}
  assert manifests.by_file(opened[1]) == {3: [0, 1]}
  whole = base.open_source(f"multilabel:{file}", "test")
  assert whole.fingerprint["version"] != opened[1].fingerprint["version"]


def test_several_labels_in_csv(root):
  file = manifests.csv(
    root,
    "path,labels,confidence\nimages/0.png,7|2,0.5|1\nimages/1.png,,\n",
  )
  source = base.open_source(f"multilabel:{file}", "train")
  assert manifests.by_file(source) == {0: [7, 2], 1: [-1, -1]}
  assert source.num_classes == 8


def test_several_labels_become_multi_hot_on_the_device(root):
  file = manifests.jsonl(root, SEVERAL)
  source = base.open_source(f"multilabel:{file}", "train")
  batch = pipeline.eval_batches(source, Pipeline.parse("decode"), batch_size=3)[
    0
  ]
  assert (batch["label"].shape, batch["label"].dtype) == ((3, 3), np.int32)
  hot = classification.targets(jnp.asarray(batch["label"]), 3)
  wanted = {0: [1, 1, 0], 1: [0, 0, 1], 2: [0, 0, 0]}
  for i in range(3):
    number = int(source.where(i).rpartition("/")[2][:-4])
    assert hot[i].tolist() == wanted[number]


WRONG_LABELS = {
  "no list": (manifests.row(0, labels=3), "labels is not a list"),
  "no labels": (manifests.row(0, label=3), "labels is not a list"),
  "too few confidences": (
    manifests.row(0, labels=["a", "b"], confidence=[1]),
    "2 labels, but 1 confidences",
  ),
  "confidence in words": (
    manifests.row(0, labels=["a"], confidence=["high"]),
    "are not all numbers",
  ),
  "confidence above 1": (
    manifests.row(0, labels=["a"], confidence=[1.5]),
    "must be from 0 to 1",
  ),
  "confidence that is no number": (
    manifests.row(0, labels=["a"], confidence=[float("nan")]),
    "must be from 0 to 1",
  ),
}


@pytest.mark.parametrize("name", WRONG_LABELS)
def test_wrong_labels(root, name):
  what, said = WRONG_LABELS[name]
  file = manifests.jsonl(root, [what])
  with pytest.raises(errors.DataError, match="line 1") as caught:
    base.open_source(f"multilabel:{file}", "train")
  assert said in str(caught.value)


@pytest.mark.parametrize("least", ["high", "1.5", "-1", "nan", ""])
def test_wrong_confidence(root, least):
  file = manifests.jsonl(root, SEVERAL)
  with pytest.raises(errors.ConfigError, match="must be a number from 0 to 1"):
    base.open_source(f"multilabel:{file}@{least}", "train")
