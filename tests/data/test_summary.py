"""What is said about data before work on it begins."""

import os

import pytest

from tests.data import manifests, trees
from tests.e2e import run as cli
from vit_jax.core import config as config_lib, errors
from vit_jax.data import base, relabelled, summary
from vit_jax.datasets import listed
from vit_jax.train import experiment as experiment_lib


def said(name, *splits):
  opened = {s: base.open_source(name, s) for s in splits}
  return summary.lines(name, opened)


def test_a_folder(tmp_path):
  root = tmp_path / "flowers"
  trees.classes(root / "Train", {f"c{i}": i + 1 for i in range(7)})
  trees.classes(root / "TEST", {"c0": 2, "new\nline": 1})
  for name in ("a.heic", "b.HEIC", "notes.txt"):
    trees.write(root, {f"TEST/c0/{name}": b"x"})
  name = f"folder:{tmp_path}"
  assert said(name, "train", "test") == [
    f"{name}, split train: 28 examples of 8 classes: c0 1, c1 2, c2 3, c3 4, c4"
    " 5, ...",
    f"{name}, split test: 3 examples of 8 classes: c0 2, c1 0, c2 0, c3 0, c4"
    " 0, ...",
    f"{name}: the classes are in flowers, the only folder",
    f"{name}: ignored: 1 other files, such as flowers/TEST/c0/notes.txt",
    f"{name}: images that cannot be read and are left out: 2 .heic (convert"
    " them to JPEG or PNG)",
  ]


def test_others():
  name = "synthetic:30x8x8x3x4"
  assert said(name, "train") == [
    f"{name}, split train: 30 examples of 4 classes: 0, 1, 2, 3"
  ]


def test_parts_that_are_held_out(tmp_path):
  trees.classes(tmp_path, {"ant": 8, "bee": 4})
  trees.write(tmp_path, {"ant/notes.txt": b"x"})
  name = f"holdout:0.25*folder:{tmp_path}"
  assert said(name, "train", "val") == [
    f"{name}, split train: 9 examples of 2 classes: ant 6, bee 3",
    f"{name}, split val: 3 examples of 2 classes: ant 2, bee 1",
    f"{name}: ignored: 1 other files, such as ant/notes.txt",
  ]
  source = base.open_source(f"folder:{tmp_path}", "train")
  other = relabelled.to(source, ("bee", "ant"), "here", "there")
  assert summary.classes(other) == "bee 4, ant 8"
  assert base.is_same(name, f"holdout:0.25*folder:/else/{tmp_path.name}/")
  assert not base.is_same(name, f"holdout:0.5*folder:{tmp_path}")


def test_undecodable_names_can_be_printed(tmp_path):
  for name in (b"a\xff", b"b"):
    os.makedirs(os.path.join(os.fsencode(tmp_path), b"x\xff", name))
    file = os.path.join(os.fsencode(tmp_path), b"x\xff", name, b"0.png")
    with open(file, "wb") as f:
      f.write(trees.png(0))
  "\n".join(said(f"folder:{tmp_path}", "train")).encode()
  inner = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"x\xff"))
  "\n".join(said(f"folder:{inner}", "train")).encode()


def test_before_a_data_set_is_written(tmp_path, capsys):
  trees.classes(tmp_path / "images", {"ant": 3, "bee": 2})
  listed.folder(f"{tmp_path}/images", "x", "1.0.0", str(tmp_path), "raise")
  err = capsys.readouterr().err
  assert "split train: 5 examples of 2 classes: ant 3, bee 2\n" in err
  rows = [{"path": "images/ant/0.png", "labels": ["b", "a"]}]
  file = manifests.jsonl(tmp_path, rows)
  listed.multilabel(str(file), "x", "1.0.0", str(tmp_path), "raise")
  assert f"multilabel:{file}: 2 classes: a, b\n" in capsys.readouterr().err


def experiment(root, loss="softmax", classes=2):
  fields = {
    "model.num_classes": classes,
    "data.batch_size": 2,
    "data.train.name": f"folder:{root}",
    "data.train.preprocess": "decode(1)|value_range(-1, 1)",
    "evals.test.data.name": f"folder:{root}",
    "evals.test.data.split": "train[:50%]",
    "task.loss": loss,
  }
  config = config_lib.load(cli.TINY, "steps=1", fields)
  return config_lib.build(experiment_lib.Experiment, config)


def test_before_training(tmp_path):
  trees.classes(tmp_path, {"ant": 4, "bee": 4})
  run = experiment(tmp_path)
  lines = experiment_lib.summary(run, experiment_lib.open_inputs(run))
  assert lines == [
    f"folder:{tmp_path}, split train: 8 examples of 2 classes: ant 4, bee 4",
    f"folder:{tmp_path}, split train[:50%]: 4 examples of 2 classes: ant 2,"
    " bee 2",
  ]


def test_one_class_is_nothing_to_learn(tmp_path):
  trees.classes(tmp_path, {"ant": 4})
  for classes in (1, 2):
    with pytest.raises(errors.ConfigError) as caught:
      experiment_lib.open_inputs(experiment(tmp_path, classes=classes))
    assert str(caught.value) == (
      f"data.train.name=folder:{tmp_path} has the one class 'ant', and nothing"
      " to tell it from; it needs two or more, such as CLASS/IMAGE or"
      " SPLIT/CLASS/IMAGE in a folder"
    )
  # A sigmoid may say whether it is there.
  assert experiment_lib.open_inputs(experiment(tmp_path, "sigmoid", 1))
