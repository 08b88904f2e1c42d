"""Sources whose labels are the numbers of other lists of classes."""

import json
import pickle

import numpy as np

from tests.data import trees
from vit_jax.data import base, relabelled

NAMES = ("cat", "ant", "bee")


def photos(folder):
  names = ("ant", "bee", "cat")
  files = {f"{x}/{x}{i}.png": trees.png(i) for x in names for i in range(2)}
  trees.write(folder, {**files, "cat/notes.txt": b"x"})
  return trees.open_folder(folder)


def several(folder):
  """Images of one label, of two and of none."""
  trees.write(folder, {f"{i}.png": trees.png(i) for i in range(3)})
  labels = [["a"], ["b", "c"], []]
  rows = [{"path": f"{i}.png", "labels": x} for i, x in enumerate(labels)]
  file = folder / "list.jsonl"
  file.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return base.open_source(f"multilabel:{file}", "train")


def test_labels_have_the_new_numbers_and_all_else_is_the_same(tmp_path):
  source = photos(tmp_path)
  made = relabelled.to(source, NAMES, "here", "there")
  wanted = {"ant0": 1, "ant1": 1, "bee0": 2, "bee1": 2, "cat0": 0, "cat1": 0}
  assert trees.by_file(made) == {f"{k}.png": v for k, v in wanted.items()}
  assert all(type(made[i]["label"]) is int for i in range(6))
  for i in range(len(made)):
    assert {**made[i], "label": source[i]["label"]} == source[i]
    assert made.where(i) == source.where(i)
  assert (made.num_classes, made.class_names) == (3, NAMES)
  assert made.fingerprint == source.fingerprint
  assert (len(made), made.parts) == (6, source.parts)
  assert made.known_labels().tolist() == [made[i]["label"] for i in range(6)]
  assert made.notes() == source.notes()


def test_several_labels(tmp_path):
  made = relabelled.to(several(tmp_path), ("c", "b", "a"), "here", "there")
  wanted = {"0.png": [2, -1], "1.png": [1, 0], "2.png": [-1, -1]}
  assert trees.by_file(made) == wanted
  assert made[0]["label"].dtype == np.int32
  assert made.known_labels() is None


def test_another_process_reads_the_same(tmp_path):
  made = relabelled.to(photos(tmp_path), NAMES, "here", "there")
  again = pickle.loads(pickle.dumps(made))  # noqa: S301
  assert [again[i] for i in range(6)] == [made[i] for i in range(6)]


def test_the_same_order_needs_nothing(tmp_path, capsys):
  source = photos(tmp_path)
  assert relabelled.to(source, ("ant", "bee", "cat"), "here", "x") is source
  assert not capsys.readouterr().err


def test_what_has_no_names_is_said_once(tmp_path, capsys):
  source = photos(tmp_path)
  for _ in range(2):
    assert relabelled.to(source, (), "here", "the checkpoint X") is source
  assert capsys.readouterr().err == (
    "class names of the checkpoint X are not known, labels taken by number\n"
  )
  numbers = base.open_source("synthetic:9x4x4x3x3", "train")
  assert relabelled.to(numbers, NAMES, "data Y", "there") is numbers
  assert "class names of data Y are not known" in capsys.readouterr().err
  # Where neither has names there is nothing to be mistaken about.
  relabelled.to(numbers, (), "data Z", "there")
  assert not capsys.readouterr().err
