"""Manifests: one label or several an image, and each wrong line by number."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.losses import classification
from vit_jax.preprocess.pipeline import Pipeline


@pytest.fixture
def root(tmp_path):
  return trees.write(
    tmp_path, {f"images/{i}.png": trees.png(i) for i in range(6)}
  )


def by_file(source):
  """Label by the number of the file."""
  return {
    int(source.where(i).rpartition("/")[2][:-4]): np.asarray(
      source[i]["label"]
    ).tolist()
    for i in range(len(source))
  }


def jsonl(root, rows, name="list.jsonl"):
  (root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
  return root / name


def csv(root, text, name="list.csv"):
  (root / name).write_text(text)
  return root / name


def row(i, **rest):
  return {"path": f"images/{i}.png", **rest}


def test_one_label_each_by_name(root):
  file = csv(
    root,
    "\ufeffpath,label,split,note\n"
    'images/0.png,"dog, wet",train,x\n'
    "images/1.png,cat,train,\n"
    "./images/../images/2.png,cat,val,y\n",
  )
  train, val = (base.open_source(f"folder:{file}", s) for s in ("train", "val"))
  assert train.class_names == val.class_names == ("cat", "dog, wet")
  assert by_file(train) == {0: 1, 1: 0}
  assert by_file(val) == {2: 0}
  assert train.fingerprint["name"] == "folder:list.csv"


def test_one_label_each_by_number(root):
  for file in (
    csv(root, "label,path\n4,images/0.png\n0,images/1.png\n"),
    jsonl(root, [row(0, label=4), {}, row(1, label=0)][::2]),
  ):
    source = base.open_source(f"folder:{file}", "train")
    assert (source.num_classes, source.class_names) == (5, ())
    assert by_file(source) == {0: 4, 1: 0}


def test_classes_of_a_file(root):
  (root / "classes.txt").write_text("zebra\nant\nbee\n")
  file = jsonl(
    root, [row(0, label="ant"), row(1, label=2), row(2, label="zebra")]
  )
  source = base.open_source(f"folder:{file}", "train")
  assert source.class_names == ("zebra", "ant", "bee")
  assert by_file(source) == {0: 1, 1: 2, 2: 0}
  (root / "classes.txt").write_text("ant\nbee\nzebra\n")
  again = base.open_source(f"folder:{file}", "train")
  assert by_file(again) == {0: 0, 1: 2, 2: 2}
  assert again.fingerprint["version"] != source.fingerprint["version"]


SEVERAL = [
  row(0, labels=["b", "a"], confidence=[0.9, 0.2]),
  row(1, labels=["c"], confidence=[0.5]),
  row(2, labels=[], confidence=[]),
  row(3, labels=["a", "b", "c"], confidence=[1, 0.5, 0.49], split="test"),
]


def test_several_labels(root):
  file = jsonl(root, SEVERAL)
  train = base.open_source(f"multilabel:{file}", "train")
  test = base.open_source(f"multilabel:{file}", "test")
  assert by_file(train) == {0: [1, 0, -1], 1: [2, -1, -1], 2: [-1] * 3}
  assert by_file(test) == {3: [0, 1, 2]}
  assert train[0]["label"].dtype == np.int32
  assert train.class_names == ("a", "b", "c")
  assert train.class_counts().tolist() == [1, 1, 1]


def test_labels_of_little_confidence_are_left_out(root):
  file = jsonl(root, SEVERAL)
  opened = [
    base.open_source(f"multilabel:{file}@0.5", s) for s in ("train", "test")
  ]
  assert by_file(opened[0]) == {0: [1, -1], 1: [2, -1], 2: [-1, -1]}
  assert by_file(opened[1]) == {3: [0, 1]}
  whole = base.open_source(f"multilabel:{file}", "test")
  assert whole.fingerprint["version"] != opened[1].fingerprint["version"]


def test_several_labels_in_csv(root):
  file = csv(
    root,
    "path,labels,confidence\nimages/0.png,7|2,0.5|1\nimages/1.png,,\n",
  )
  source = base.open_source(f"multilabel:{file}", "train")
  assert by_file(source) == {0: [7, 2], 1: [-1, -1]}
  assert source.num_classes == 8


def test_several_labels_become_multi_hot_on_the_device(root):
  file = jsonl(root, SEVERAL)
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


def test_a_manifest_that_changes_is_read_again(root):
  file = jsonl(root, [row(0, label="a")])
  assert len(base.open_source(f"folder:{file}", "train")) == 1
  jsonl(root, [row(0, label="a"), row(1, label="b")])
  assert len(base.open_source(f"folder:{file}", "train")) == 2
  # The same manifest may be read in two ways.
  jsonl(root, [row(0, label="a", labels=["b", "a"])])
  one = base.open_source(f"folder:{file}", "train")
  many = base.open_source(f"multilabel:{file}", "train")
  assert (one[0]["label"], many[0]["label"].tolist()) == (0, [1, 0])


def test_paths_within_the_root_may_be_absolute(root):
  file = jsonl(root, [{"path": str(root / "images/1.png"), "label": 0}])
  assert by_file(base.open_source(f"folder:{file}", "train")) == {1: 0}


# ruff: noqa: E501
# What is wrong: rows of JSON or text of CSV, and what the error says.
WRONG = {
  "leaves": ([row(0, label=0), {"path": "../x.png", "label": 0}], "line 2: the path '../x.png' leads outside"),
  "absolute": ([{"path": "/etc/passwd", "label": 0}], "line 1: the path '/etc/passwd' leads"),
  "sideways": ([{"path": "images/../../x", "label": 0}], "leads outside"),
  "itself": ([{"path": ".", "label": 0}], "leads outside"),
  "zero byte": ([{"path": "a\0b", "label": 0}], "leads outside"),
  "no path": ([{"label": 0}], "line 1: it has no path (it has label)"),
  "path of a number": ([{"path": 3, "label": 0}], "it has no path"),
  "no label": ([row(0, labels=[1])], "it has no label (it has path, labels)"),
  "label of a list": ([row(0, label=[1])], "[1] is not a label: give a name or a"),
  "label of true": ([row(0, label=True)], "True is not a label"),
  "label of nothing": ([row(0, label="")], "'' is not a label"),
  "label of a fraction": ([row(0, label=1.5)], "1.5 is not a label"),
  "label below 0": ([row(0, label=-1)], "line 1: label -1 is none of the"),
  "huge label": ([row(0, label=2**40)], f"label {2**40} is none of the"),
  "names and numbers": ([row(0, label="a"), row(1, label=1)], "line 2: label 1 is a number, others are names"),
  "no file": ([row(99, label=0)], "images/99.png cannot be read: No such file"),
  "a folder": ([{"path": "images", "label": 0}], "images is not a regular file"),
  "split of a number": ([row(0, label=0, split=1)], "1 is not the name of a split"),
  "split with a part": ([row(0, label=0, split="a[1]")], "'a[1]' is not the name of"),
  "no rows": ([], "has no rows"),
  "a list": ([[1, 2]], 'line 1: it is not {"path": ..., "label": ...}'),
  "no json": ("path,label\n", "line 1: Expecting value"),
  "cut off": ('{"path": "images/0.png", "label": 0}\n{"pa', "line 2: Unterminated"),
  "latin": (b'{"path": "\xe9"}', "is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_lines(root, name):
  what, said = WRONG[name]
  file = root / "list.jsonl"
  if isinstance(what, list):
    jsonl(root, what)
  else:
    file.write_bytes(what if isinstance(what, bytes) else what.encode())
  with pytest.raises(errors.DataError) as caught:
    base.open_source(f"folder:{file}", "train")
  assert said in str(caught.value)
  assert str(root) in str(caught.value)
  assert "\n" not in str(caught.value)


WRONG_CSV = {
  "path,label\nimages/0.png\n": "line 2: it has more or fewer columns",
  "path,label\nimages/0.png,a,b\n": "line 2: it has more or fewer columns",
  "images/0.png,a\nimages/1.png,b\n": "line 2: it has no path (it has images/0",
  'path,label\nimages/0.png,"a\n': "unexpected end of data",
  "": "has no rows",
}


@pytest.mark.parametrize("text", WRONG_CSV)
def test_wrong_csv(root, text):
  file = csv(root, text)
  with pytest.raises(errors.DataError) as caught:
    base.open_source(f"folder:{file}", "train")
  assert WRONG_CSV[text] in str(caught.value)


WRONG_LABELS = {
  "no list": (row(0, labels=3), "labels is not a list"),
  "no labels": (row(0, label=3), "labels is not a list"),
  "too few confidences": (
    row(0, labels=["a", "b"], confidence=[1]),
    "2 labels, but 1 confidences",
  ),
  "confidence in words": (
    row(0, labels=["a"], confidence=["high"]),
    "are not all numbers",
  ),
  "confidence above 1": (
    row(0, labels=["a"], confidence=[1.5]),
    "must be from 0 to 1",
  ),
  "confidence that is no number": (
    row(0, labels=["a"], confidence=[float("nan")]),
    "must be from 0 to 1",
  ),
}


@pytest.mark.parametrize("name", WRONG_LABELS)
def test_wrong_labels(root, name):
  what, said = WRONG_LABELS[name]
  file = jsonl(root, [what])
  with pytest.raises(errors.DataError, match="line 1") as caught:
    base.open_source(f"multilabel:{file}", "train")
  assert said in str(caught.value)


@pytest.mark.parametrize("least", ["high", "1.5", "-1", "nan", ""])
def test_wrong_confidence(root, least):
  file = jsonl(root, SEVERAL)
  with pytest.raises(errors.ConfigError, match="must be a number from 0 to 1"):
    base.open_source(f"multilabel:{file}@{least}", "train")


@pytest.mark.parametrize("text", ["a\na\n", "a\n\nb\n", ""])
def test_wrong_classes(root, text):
  (root / "classes.txt").write_text(text)
  file = jsonl(root, [row(0, label="a")])
  with pytest.raises(errors.DataError, match="must name each class once"):
    base.open_source(f"folder:{file}", "train")


def test_a_label_that_is_no_class(root):
  (root / "classes.txt").write_text("a\nb\n")
  for label in ("c", 2, "2"):
    file = jsonl(root, [row(0, label="a"), row(1, label=label)])
    with pytest.raises(errors.DataError, match="is none of the 2 classes"):
      base.open_source(f"folder:{file}", "train")
