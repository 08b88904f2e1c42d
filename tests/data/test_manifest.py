"""Manifests: one label or several an image, and each wrong line by number."""

import pytest

from tests.data import manifests, trees
from vit_jax.core import errors
from vit_jax.data import base


@pytest.fixture
def root(tmp_path):
  return trees.write(
    tmp_path, {f"images/{i}.png": trees.png(i) for i in range(6)}
  )


def test_one_label_each_by_name(root):
  file = manifests.csv(
    root,
    "\ufeffpath,label,split,note\n"
    'images/0.png,"dog, wet",train,x\n'
    "images/1.png,cat,train,\n"
    "./images/../images/2.png,cat,val,y\n",
  )
  train, val = (base.open_source(f"folder:{file}", s) for s in ("train", "val"))
  assert train.class_names == val.class_names == ("cat", "dog, wet")
  assert manifests.by_file(train) == {0: 1, 1: 0}
  assert manifests.by_file(val) == {2: 0}
  assert train.fingerprint["name"] == "folder:list.csv"


def test_one_label_each_by_number(root):
  for file in (
    manifests.csv(root, "label,path\n4,images/0.png\n0,images/1.png\n"),
    manifests.jsonl(
      root, [manifests.row(0, label=4), {}, manifests.row(1, label=0)][::2]
    ),
  ):
    source = base.open_source(f"folder:{file}", "train")
    assert (source.num_classes, source.class_names) == (5, ())
    assert manifests.by_file(source) == {0: 4, 1: 0}


def test_classes_of_a_file(root):
  (root / "classes.txt").write_text("zebra\nant\nbee\n")
  file = manifests.jsonl(
    root,
    [
      manifests.row(0, label="ant"),
      manifests.row(1, label=2),
      manifests.row(2, label="zebra"),
    ],
  )
  source = base.open_source(f"folder:{file}", "train")
  assert source.class_names == ("zebra", "ant", "bee")
  assert manifests.by_file(source) == {0: 1, 1: 2, 2: 0}
  (root / "classes.txt").write_text("ant\nbee\nzebra\n")
  again = base.open_source(f"folder:{file}", "train")
  assert manifests.by_file(again) == {0: 0, 1: 2, 2: 2}
  assert again.fingerprint["version"] != source.fingerprint["version"]


def test_a_manifest_that_changes_is_read_again(root):
  file = manifests.jsonl(root, [manifests.row(0, label="a")])
  assert len(base.open_source(f"folder:{file}", "train")) == 1
  manifests.jsonl(
    root, [manifests.row(0, label="a"), manifests.row(1, label="b")]
  )
  assert len(base.open_source(f"folder:{file}", "train")) == 2
  # The same manifest may be read in two ways.
  manifests.jsonl(root, [manifests.row(0, label="a", labels=["b", "a"])])
  one = base.open_source(f"folder:{file}", "train")
  many = base.open_source(f"multilabel:{file}", "train")
  assert (one[0]["label"], many[0]["label"].tolist()) == (0, [1, 0])


def test_paths_within_the_root_may_be_absolute(root):
  file = manifests.jsonl(
    root, [{"path": str(root / "images/1.png"), "label": 0}]
  )
  assert manifests.by_file(base.open_source(f"folder:{file}", "train")) == {
    1: 0
  }


# ruff: noqa: E501
# What is wrong: rows of JSON or text of CSV, and what the error says.
WRONG = {
  "leaves": ([manifests.row(0, label=0), {"path": "../x.png", "label": 0}], "line 2: the path '../x.png' leads outside"),
  "absolute": ([{"path": "/etc/passwd", "label": 0}], "line 1: the path '/etc/passwd' leads"),
  "sideways": ([{"path": "images/../../x", "label": 0}], "leads outside"),
  "itself": ([{"path": ".", "label": 0}], "leads outside"),
  "zero byte": ([{"path": "a\0b", "label": 0}], "leads outside"),
  "no path": ([{"label": 0}], "line 1: it has no path (it has label)"),
  "path of a number": ([{"path": 3, "label": 0}], "it has no path"),
  "no label": ([manifests.row(0, labels=[1])], "it has no label (it has path, labels)"),
  "label of a list": ([manifests.row(0, label=[1])], "[1] is not a label: give a name or a"),
  "label of true": ([manifests.row(0, label=True)], "True is not a label"),
  "label of nothing": ([manifests.row(0, label="")], "'' is not a label"),
  "label of a fraction": ([manifests.row(0, label=1.5)], "1.5 is not a label"),
  "label below 0": ([manifests.row(0, label=-1)], "line 1: label -1 is none of the"),
  "huge label": ([manifests.row(0, label=2**40)], f"label {2**40} is none of the"),
  "label of blanks": ([manifests.row(0, label="  ")], "'  ' is not a label"),
  "no label in pandas": ([manifests.row(0, label="a"), manifests.row(1, label="nan")], "line 2: label 'nan' is how a missing label is written: remove"),
  "merged numbers": ([manifests.row(0, label="01"), manifests.row(1, label="1")], "line 2: label '1' and '01' are the same number, but not the same text"),
  "merged numbers of two kinds": ([manifests.row(0, label=1), manifests.row(1, label="01")], "label '01' and 1 are the same number"),
  "names and numbers": ([manifests.row(0, label="a"), manifests.row(1, label=1)], "line 2: label 1 is a number, others are names"),
  "no file": ([manifests.row(99, label=0)], "images/99.png cannot be read: No such file"),
  "a folder": ([{"path": "images", "label": 0}], "images is not a regular file"),
  "split of a number": ([manifests.row(0, label=0, split=1)], "1 is not the name of a split"),
  "split with a part": ([manifests.row(0, label=0, split="a[1]")], "'a[1]' is not the name of"),
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
    manifests.jsonl(root, what)
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
  file = manifests.csv(root, text)
  with pytest.raises(errors.DataError) as caught:
    base.open_source(f"folder:{file}", "train")
  assert WRONG_CSV[text] in str(caught.value)


def test_blanks_and_unicode_forms_are_one_label(root):
  file = manifests.csv(
    root,
    "path, label, split\n"
    "images/0.png, cat, train\n"
    "images/1.png,cat,train\n"
    "images/2.png,caf\u00e9,train \n"
    "images/3.png,cafe\u0301,train\n",
  )
  assert base.split_names(f"folder:{file}") == ("train",)
  source = base.open_source(f"folder:{file}", "train")
  assert source.class_names == ("caf\u00e9", "cat")
  assert manifests.by_file(source) == {0: 1, 1: 1, 2: 0, 3: 0}
  (note,) = source.remarks.notes
  assert note.startswith("2 labels are read without the blanks around them")
  assert "' cat' as 'cat'" in note
  # Several labels an image likewise.
  file = manifests.jsonl(
    root, [{**manifests.row(i), "labels": "cat| dog"} for i in range(2)]
  )
  many = base.open_source(f"multilabel:{file}", "train")
  # In the order of what is written, as in runs that were saved before.
  assert many.class_names == ("dog", "cat")


@pytest.mark.parametrize(
  "labels", [("01", "cat"), ("1e3", "1"), ("1.0", "0.0"), ("-1", "x")]
)
def test_labels_are_text_as_written(root, labels):
  rows = [manifests.row(i, label=label) for i, label in enumerate(labels)]
  source = base.open_source(f"folder:{manifests.jsonl(root, rows)}", "train")
  assert source.class_names == tuple(sorted(labels))


def test_classes_may_be_called_by_numbers(root):
  (root / "classes.txt").write_text("\ufeff 3\n1\nnan\n\n", encoding="utf-8")
  rows = [manifests.row(i, label=v) for i, v in enumerate(("1", "3", "nan"))]
  source = base.open_source(f"folder:{manifests.jsonl(root, rows)}", "train")
  assert source.class_names == ("3", "1", "nan")
  assert manifests.by_file(source) == {0: 1, 1: 0, 2: 2}
  # 2 would be the class at that place, which is called nan.
  file = manifests.jsonl(root, [manifests.row(0, label="2")])
  with pytest.raises(errors.DataError, match="'2' is none of the 3 classes"):
    base.open_source(f"folder:{file}", "train")


@pytest.mark.parametrize("text", ["a\na\n", "a\n\nb\n", "", "a\n a \n"])
def test_wrong_classes(root, text):
  (root / "classes.txt").write_text(text)
  file = manifests.jsonl(root, [manifests.row(0, label="a")])
  with pytest.raises(errors.DataError, match="must name each class once"):
    base.open_source(f"folder:{file}", "train")


def test_a_label_that_is_no_class(root):
  (root / "classes.txt").write_text("a\nb\n")
  for label in ("c", 2, "2"):
    file = manifests.jsonl(
      root, [manifests.row(0, label="a"), manifests.row(1, label=label)]
    )
    with pytest.raises(errors.DataError, match="is none of the 2 classes"):
      base.open_source(f"folder:{file}", "train")
