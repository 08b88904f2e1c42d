"""Which folders are splits and which are classes; what may be either."""

import itertools
import random

import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import base, layout

COUNTS = {"ant": 3, "bee": 2}


def splits_of(root):
  """By split: the class names, and the number of images."""
  name = f"folder:{root}"
  opened = {s: base.open_source(name, s) for s in base.split_names(name)}
  return {s: (o.class_names, len(o)) for s, o in opened.items()}


BOTH = (("ant", "bee"), 5)
SPELLINGS = {
  ("train", "val", "test"): ("train", "val", "test"),
  ("train", "validation"): ("train", "validation"),
  ("train", "valid"): ("train", "valid"),
  ("Train", "Test"): ("train", "test"),
  ("TRAIN", "VAL", "TEST"): ("train", "val", "test"),
  ("training", "testing"): ("train", "test"),
  ("Training", "Validation"): ("train", "validation"),
  ("training_set", "test_set"): ("train", "test"),
  ("train", "dev"): ("train", "val"),
  ("train",): ("train",),
}


@pytest.mark.parametrize("folders", SPELLINGS)
def test_usual_names_of_splits(tmp_path, folders):
  for folder in folders:
    trees.classes(tmp_path / folder, COUNTS)
  assert splits_of(tmp_path) == dict.fromkeys(SPELLINGS[folders], BOTH)


@pytest.mark.parametrize("wrappers", ["flowers", "archive/flowers", "a/b/c"])
@pytest.mark.parametrize("splits", [("train", "val"), ("TRAIN", "TEST"), ()])
def test_a_wrapping_folder_is_entered(tmp_path, wrappers, splits):
  for split in splits or ("",):
    trees.classes(tmp_path / wrappers / split, COUNTS)
  trees.write(tmp_path, {"README.txt": b"hello", "__MACOSX/._x.jpg": b"x"})
  wanted = tuple(layout.split_name(s.encode()) for s in splits) or ("train",)
  assert splits_of(tmp_path) == dict.fromkeys(wanted, BOTH)
  source = trees.open_folder(tmp_path)
  assert source.remarks.notes == (
    f"the classes are in {wrappers}, the only folder",
  )
  # Another folder beside the wrapper is seen.
  trees.write(tmp_path, {"other/0.png": trees.png(0)})
  if not splits:
    assert trees.open_folder(tmp_path).num_classes == 2
    assert "other" in trees.open_folder(tmp_path).class_names


def test_a_class_of_folders_is_no_wrapper(tmp_path):
  files = {"cat/a/0.png": b"x", "cat/1.png": b"x", "cat/b/2.png": b"x"}
  trees.write(tmp_path / "one", files)
  assert trees.open_folder(tmp_path / "one").class_names == ("cat",)
  trees.write(tmp_path / "deep", {"2020/jan/0.png": b"x"})
  assert trees.open_folder(tmp_path / "deep").class_names == ("2020",)


def test_tiny_imagenet(tmp_path):
  for name, number in itertools.product(("n01", "n02"), range(3)):
    file = f"train/{name}/images/{name}_{number}.JPEG"
    trees.write(tmp_path, {file: trees.png(number)})
    trees.write(tmp_path, {f"train/{name}/{name}_boxes.txt": b"0 0"})
  source = trees.open_folder(tmp_path / "train")
  assert (source.class_names, len(source)) == (("n01", "n02"), 6)
  trees.write(tmp_path, {"val/images/0.JPEG": b"x", "val/notes.txt": b"x"})
  trees.write(tmp_path, {"test/images/0.JPEG": b"x"})
  with pytest.raises(errors.DataError) as caught:
    trees.open_folder(tmp_path)
  text = str(caught.value)
  assert "test/images is the only folder of the split test" in text
  assert "read as a class, images would be one of 3" in text
  assert "read as images without classes, the split has none" in text


def test_folders_of_pictures_in_each_split(tmp_path):
  """As for learning without labels, where there is one class."""
  for split in ("train", "val"):
    trees.write(tmp_path / "one", {f"{split}/images/0.png": trees.png(0)})
    trees.classes(tmp_path / "many" / split / "images", COUNTS)
  assert splits_of(tmp_path / "one") == dict.fromkeys(
    ("train", "val"), (("images",), 1)
  )
  assert splits_of(tmp_path / "many") == dict.fromkeys(("train", "val"), BOTH)


def test_a_split_within_a_folder_of_its_name(tmp_path):
  for split in ("training_set", "test_set"):
    trees.classes(tmp_path / split / split, COUNTS)
  assert splits_of(tmp_path) == {"train": BOTH, "test": BOTH}


def test_folders_without_images_are_no_classes(tmp_path):
  trees.classes(tmp_path / "train", COUNTS)
  trees.classes(tmp_path / "val", COUNTS)
  trees.write(tmp_path, {"annotations/train.json": b"{}"})
  assert splits_of(tmp_path) == {"train": BOTH, "val": BOTH}
  source = trees.open_folder(tmp_path)
  assert source.remarks.notes == ("folders without images: annotations",)
  # What is added there is seen.
  trees.write(tmp_path, {"annotations/0.png": trees.png(0)})
  with pytest.raises(errors.DataError, match="train, val beside annotations"):
    trees.open_folder(tmp_path)


AMBIGUOUS = {
  "samples": ("train/ant/0.png", "val/ant/0.png", "samples/0.png"),
  "samples of classes": ("Train/ant/0.png", "TEST/a/0.png", "more/a/0.png"),
  "unlabelled": ("ant/0.png", "bee/0.png", "test/0.png"),
  "no classes": ("train/0.png", "test/0.png", "samples/0.png"),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_may_be_either_is_refused(tmp_path, case):
  trees.write(tmp_path, {f: trees.png(1) for f in AMBIGUOUS[case]})
  with pytest.raises(errors.DataError) as caught:
    trees.open_folder(tmp_path)
  text = str(caught.value)
  assert "\n" not in text
  for part in ("read as splits", "read as classes", "manifest", "folder:"):
    assert part in text


def test_two_spellings_of_a_split(tmp_path):
  for split in ("train", "Training", "val"):
    trees.classes(tmp_path / split, COUNTS)
  with pytest.raises(errors.DataError, match="both mean the split train; ren"):
    trees.open_folder(tmp_path)


def test_images_right_in_a_split(tmp_path):
  trees.write(tmp_path, {"Train/0.png": b"x", "Test/0.png": b"x"})
  with pytest.raises(errors.DataError, match="is read as a split; rename it"):
    trees.open_folder(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_the_folders(tmp_path, seed):
  """The order in which they were made does not matter."""
  names = [f"class {i}" for i in range(12)]
  random.Random(seed).shuffle(names)
  for name in names:
    trees.write(tmp_path, {f"{name}/0.png": trees.png(len(name))})
  source = trees.open_folder(tmp_path)
  assert source.class_names == tuple(sorted(names))
  for i in range(len(source)):
    assert source.class_names[source.label(i)] in source.where(i)


# Composed and decomposed, and with blanks around.
ALIKE = (("caf\u00e9", "cafe\u0301"), ("cat", "cat "), (" cat", "cat"))


@pytest.mark.parametrize("names", ALIKE)
@pytest.mark.parametrize("splits", [("", ""), ("train", "val")])
def test_names_that_differ_by_form_alone(tmp_path, names, splits):
  for split, name in zip(splits, names, strict=True):
    trees.classes(tmp_path / split, {name: 2, "dog": 2})
  with pytest.raises(errors.DataError) as caught:
    trees.open_folder(tmp_path)
  text = str(caught.value)
  assert "differ by blanks or Unicode form alone" in text
  assert all(f"{name}'" in text for name in names)
  # What looks the same can be told apart.
  assert all(ascii(name) in text for name in names)


def test_class_names_are_clean(tmp_path):
  trees.classes(tmp_path, {"cafe\u0301": 2, " dog ": 2})
  assert trees.open_folder(tmp_path).class_names == ("dog", "caf\u00e9")
  (tmp_path / " ").mkdir()
  trees.write(tmp_path, {" /0.png": trees.png(0)})
  with pytest.raises(errors.DataError, match="has a name of blanks"):
    trees.open_folder(tmp_path)
