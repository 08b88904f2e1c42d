"""A run whose data was moved goes on, and says what it reads."""

from absl import flags
import pytest

from tests.data import trees
from tests.e2e import run as cli
from vit_jax.core import config as config_lib, errors
from vit_jax.train import loop


def train(name, workdir, **start):
  fields = {
    "model.num_classes": 2,
    "data.batch_size": 8,
    "data.train.name": name,
    "data.train.preprocess": "decode(1)|value_range(-1, 1)",
    "evals.test.data.name": name,
    "evals.test.data.split": "val",
    "evals.test.data.preprocess": "decode(1)|value_range(-1, 1)",
    **{f"start.{key}": value for key, value in start.items()},
  }
  config = config_lib.load(cli.TINY, "steps=12", fields)
  return loop.train(config, str(workdir))


def test_a_moved_folder_is_the_same_data(tmp_path, monkeypatch, capsys):
  flags.FLAGS.mark_as_parsed()
  for split, count in (("train", 6), ("val", 2)):
    trees.classes(tmp_path / "a/flowers" / split, {"ant": count, "bee": count})
  name = f"folder:{tmp_path}/a/flowers"
  scores = train(name, tmp_path / "run")
  said = capsys.readouterr().err
  assert (
    f"{name}, split train: 12 examples of 2 classes: ant 6, bee 6\n" in said
  )
  assert f"{name}, split val: 4 examples of 2 classes: ant 2, bee 2\n" in said
  (tmp_path / "b").mkdir()
  (tmp_path / "a/flowers").rename(tmp_path / "b/flowers")
  monkeypatch.chdir(tmp_path / "b")
  assert train("folder:flowers/", tmp_path / "run") == scores
  assert "resuming from step 12\n" in capsys.readouterr().err
  # Data that has the name, but is other data, is still told apart.
  (tmp_path / "b/flowers/train/ant/0.png").unlink()
  with pytest.raises(errors.DataError, match="the training data changed"):
    train("folder:flowers/", tmp_path / "run")
  with pytest.raises(errors.DataError, match="the training data changed"):
    train("folder:flowers/", tmp_path / "new", resume=str(tmp_path / "run"))
