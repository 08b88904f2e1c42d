"""Class k must mean the same in training and in each evaluation."""

import pytest

from tests.data import trees
from tests.e2e import run as cli
from vit_jax.core import config as config_lib, errors
from vit_jax.data import class_names
from vit_jax.evals import knn
from vit_jax.train import experiment as experiment_lib

PREPROCESS = "decode(1)|value_range(-1, 1)"


def open_inputs(train, test):
  fields = {
    "model.num_classes": 2,
    "data.batch_size": 2,
    "data.train.name": train,
    "data.train.preprocess": PREPROCESS,
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
    f"{train}: it alone has 'cat' (1 of 2 names) and it lacks 'bee' (1 of 2"
    f" names); {class_names.REMEDY}"
  )


def test_another_order_is_mapped_by_name(train, tmp_path):
  test = manifest(tmp_path / "test", "0.png,ant\n1.png,bee\n", "bee\nant\n")
  inputs = open_inputs(train, test)
  source = inputs.evals["test"]["data"]
  assert source.class_names == inputs.train.class_names == ("ant", "bee")
  assert trees.by_file(source) == {"0.png": 0, "1.png": 1}


def test_names_that_agree_or_are_not_there(train, tmp_path):
  rows = "0.png,0\n1.png,1\n"
  nameless = manifest(tmp_path / "nameless", rows)
  named = manifest(tmp_path / "named", rows, "ant\nbee\n")
  for of in ((train, named), (train, nameless), (nameless, train)):
    assert open_inputs(*of).evals["test"]


def test_splits_of_an_evaluator_have_the_same_labels(train, tmp_path):
  """Neighbours vote for classes of another order."""
  rows = "0.png,ant\n1.png,bee\n"
  shuffled = manifest(tmp_path / "other", rows, "bee\nant\n")
  fields = {"data.train.preprocess": PREPROCESS, "model.num_classes": 2}
  config = config_lib.load(cli.TINY, "steps=1", fields)
  split = {"split": "train", "preprocess": PREPROCESS}
  knn_config = config_lib.to_config_dict(knn.Config())
  with config.unlocked():
    config.evals = {"knn": {"name": "knn", **knn_config}}
    config.evals.knn.data.update({**split, "name": train})
    config.evals.knn.train.update({**split, "name": shuffled})
  experiment = config_lib.build(experiment_lib.Experiment, config)
  opened, _ = experiment_lib.open_evals(experiment)
  found = opened["knn"]["train"]
  assert found.class_names == ("ant", "bee")
  assert trees.by_file(found) == {"0.png": 0, "1.png": 1}
  other = manifest(tmp_path / "cats", "0.png,ant\n1.png,cat\n", "cat\nant\n")
  config.evals.knn.train.name = other
  experiment = config_lib.build(experiment_lib.Experiment, config)
  message = (
    r"evals\.knn\.train\.name=.* has other classes than evals\.knn\.data"
  )
  with pytest.raises(errors.ConfigError, match=message):
    experiment_lib.open_evals(experiment)
