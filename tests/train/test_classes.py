"""Class k must mean the same in training and in each evaluation."""

import pytest

from tests.data import trees
from tests.e2e import run as cli
from vit_jax.core import config as config_lib, errors
from vit_jax.train import experiment as experiment_lib


def open_inputs(train, test):
  fields = {
    "model.num_classes": 2,
    "data.batch_size": 2,
    "data.train.name": train,
    "data.train.preprocess": "decode(1)|value_range(-1, 1)",
    "evals.test.data.name": test,
    "evals.test.data.split": "train",
  }
  config = config_lib.load(cli.TINY, "steps=1", fields)
  experiment = config_lib.build(experiment_lib.Experiment, config)
  return experiment_lib.open_inputs(experiment)


def manifest(root, rows, names=""):
  """A manifest of two images; `names` says what its classes are."""
  trees.write(root, {"0.png": trees.png(0), "1.png": trees.png(1)})
  (root / "list.csv").write_text(f"path,label\n{rows}")
  if names:
    (root / "classes.txt").write_text(names)
  return f"folder:{root / 'list.csv'}"


@pytest.fixture
def train(tmp_path):
  return f"folder:{trees.classes(tmp_path / 'train', {'ant': 2, 'bee': 2})}"


def test_other_names_are_refused(train, tmp_path):
  test = f"folder:{trees.classes(tmp_path / 'test', {'ant': 2, 'cat': 2})}"
  with pytest.raises(errors.ConfigError) as caught:
    open_inputs(train, test)
  assert str(caught.value) == (
    f"evals.test.data.name={test} has other classes than data.train.name="
    f"{train}: class 1 is 'cat' there and 'bee' in training; give both the same"
    " names in the same order"
  )


def test_another_order_is_refused(train, tmp_path):
  test = manifest(tmp_path / "test", "0.png,ant\n1.png,bee\n", "bee\nant\n")
  with pytest.raises(errors.ConfigError, match="class 0 is 'bee' there and"):
    open_inputs(train, test)


def test_names_that_agree_or_are_not_there(train, tmp_path):
  rows = "0.png,0\n1.png,1\n"
  nameless = manifest(tmp_path / "nameless", rows)
  named = manifest(tmp_path / "named", rows, "ant\nbee\n")
  for of in ((train, named), (train, nameless), (nameless, train)):
    assert open_inputs(*of).evals["test"]
