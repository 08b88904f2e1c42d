"""Images held back from training: by class, by content, without copies."""

import collections
import hashlib

import numpy as np
import pytest

from tests.data import tfds_sets, trees
from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.data.sources import holdout


def both(root, share=0.2):
  name = f"holdout:{share}*folder:{root}"
  return [base.open_source(name, split) for split in holdout.SPLITS]


def counts(source):
  labels = [source[i]["label"] for i in range(len(source))]
  return dict(sorted(collections.Counter(labels).items()))


def contents(source):
  return {source[i]["image"] for i in range(len(source))}


def test_each_class_has_its_share(tmp_path):
  train, val = both(trees.classes(tmp_path))
  assert counts(val) == {0: 6, 1: 4, 2: 10}
  assert counts(train) == {0: 24, 1: 16, 2: 40}
  assert not contents(train) & contents(val)
  assert val.class_names == train.class_names == ("ant", "bee", "cat")
  for index in (-1, len(val)):
    with pytest.raises(IndexError):
      val[index]
  files = trees.files(train) + trees.files(val)
  assert sorted(files) == sorted(trees.files(trees.open_folder(tmp_path)))


def test_the_contents_decide_and_not_the_names(tmp_path):
  trees.classes(tmp_path / "a")
  renamed = {
    f"{name}/renamed {i}.png": trees.png(c, i)
    for c, (name, count) in enumerate(trees.COUNTS.items())
    for i in range(count)
  }
  trees.write(tmp_path / "b", renamed)
  for ours, theirs in zip(
    both(tmp_path / "a"), both(tmp_path / "b"), strict=True
  ):
    assert contents(ours) == contents(theirs)


def test_the_lowest_hashes_are_held_back(tmp_path):
  """So that a run which goes on after years trains on the same images."""
  _, val = both(trees.classes(tmp_path, {"ant": 10, "bee": 20}))
  lowest = []
  for c, count in enumerate((10, 20)):
    images = [trees.png(c, i) for i in range(count)]
    images.sort(key=lambda image: hashlib.sha256(image).digest())
    lowest += images[: count // 5]
  assert contents(val) == set(lowest)


def test_arrays_of_another_shape_are_other_images():
  wide = np.zeros((2, 8, 3), np.uint8)
  assert holdout._digest(wide) != holdout._digest(wide.reshape(8, 2, 3))
  every_second = np.arange(96, dtype=np.uint8).reshape(4, 8, 3)[:, ::2]
  assert holdout._digest(every_second) == holdout._digest(every_second.copy())


def test_other_files_are_parted_again(tmp_path):
  train, val = both(trees.classes(tmp_path, {"ant": 10, "bee": 10}))
  assert (len(train), len(val)) == (16, 4)
  trees.write(tmp_path, {f"bee/new {i}.png": trees.png(9, i) for i in range(5)})
  train, val = both(tmp_path)
  assert (len(train), len(val)) == (20, 5)


def test_what_is_said_of_a_part(tmp_path):
  """A run goes on with the same images alone, and the whole is told too."""
  whole = trees.open_folder(trees.classes(tmp_path)).fingerprint
  train, val = both(tmp_path)
  for part, split, size in ((train, "train", 80), (val, "val", 20)):
    said = part.fingerprint
    assert said["name"] == f"holdout:{whole['name']}"
    assert said["version"] == f"0.2*{whole['version']}"
    assert (said["split"], said["shard_sizes"]) == (split, [size])
    assert said["whole"] == whole
  members = [x.fingerprint["members"] for x in (train, val, *both(tmp_path))]
  assert members[:2] == members[2:]
  assert members[0] != members[1]


def test_copies_are_on_one_side(tmp_path):
  files = {
    f"{c}/{i}_{copy}.png": trees.png(i % 10, c == "a")
    for c in "ab"
    for i in range(30)
    for copy in range(2)
  }
  # One image is in folders of both classes.
  files["b/also.png"] = trees.png(0, True)
  train, val = both(trees.write(tmp_path, files))
  assert len(train) + len(val) == len(files)
  assert len(val) == 24
  assert not contents(train) & contents(val)


@pytest.mark.parametrize(
  ("sizes", "share", "held"),
  [
    # At least one of each class, and never all.
    ([2, 3, 100], 0.01, [1, 1, 1]),
    ([2, 3, 100], 0.99, [1, 2, 99]),
    ([10, 11], 0.25, [3, 3]),
  ],
)
def test_sizes(sizes, share, held):
  labels = [c for c, size in enumerate(sizes) for _ in range(size)]
  hashes = [f"{i}".encode() for i in range(len(labels))]
  chosen = holdout.choose(hashes, labels, share)
  assert np.bincount(np.array(labels)[chosen]).tolist() == held


def test_copies_count_for_the_class_of_the_first():
  # Class 0 has a, b and both x, of which half is held back; class 1 c and d.
  hashes, labels = [b"x", b"a", b"b", b"x", b"c", b"d"], [0, 0, 0, 1, 1, 1]
  held = holdout.choose(hashes, labels, 0.5)
  assert [h for h, is_held in zip(hashes, held, strict=True) if is_held] == [
    b"a",
    b"b",
    b"c",
  ]


def test_a_class_that_is_mostly_copies_of_one_image():
  hashes = [b"a"] * 9 + [b"b"]
  assert holdout.choose(hashes, [0] * 10, 0.2).tolist() == [False] * 9 + [True]


def test_a_class_with_one_image_is_refused(tmp_path):
  trees.write(tmp_path, {f"a/{i}.png": trees.png(i) for i in range(4)})
  # A copy is no second image.
  trees.write(tmp_path, {f"b/{i}.png": trees.png(7) for i in range(2)})
  with pytest.raises(errors.ConfigError) as e:
    both(tmp_path)
  assert str(e.value) == (
    "class b has 1 image, not counting copies; it needs at least 2, one to"
    " train on and one to be scored on"
  )
  # Its images may all be copies of another class's.
  with pytest.raises(errors.ConfigError, match="class 1 has 0 images, not"):
    holdout.choose([b"x", b"y", b"x"], [0, 0, 1], 0.5)


@pytest.mark.parametrize(
  "name",
  [
    *("folder:a", "0*folder:a", "0.0*folder:a", "1.5*folder:a", "x*folder:a"),
    "0.2*",
  ],
)
def test_other_forms_are_refused(name):
  with pytest.raises(errors.ConfigError, match=r"holdout:SHARE\*NAME"):
    base.open_source(f"holdout:{name}", "train")


def test_mixtures_and_several_labels_are_refused(tmp_path):
  folder = f"folder:{trees.classes(tmp_path)}"
  with pytest.raises(errors.ConfigError, match="hold images back in each"):
    base.open_source(f"holdout:0.2*mix:1*{folder}+1*{folder}", "train")
  rows = "".join(f"ant/{i}.png,ant|bee\n" for i in range(6))
  (tmp_path / "list.csv").write_text(f"path,labels\n{rows}")
  with pytest.raises(errors.ConfigError, match="several labels an image"):
    base.open_source(f"holdout:0.2*multilabel:{tmp_path}/list.csv", "train")


def test_data_without_classes_are_refused(tmp_path):
  images = [{"image": tfds_sets.piece(i)} for i in range(4)]
  tfds_sets.write(tmp_path, "downsampled_imagenet", {"train": images})
  with pytest.raises(
    errors.ConfigError, match="imagenet has no classes, so no"
  ):
    base.open_source(
      "holdout:0.2*tfds:downsampled_imagenet", "train", str(tmp_path)
    )


def test_the_whole_is_the_split_train(tmp_path):
  files = {
    f"{split}/{c}/{i}.png": trees.png(i, k, c == "a")
    for k, split in enumerate(("train", "test"))
    for c in "ab"
    for i in range(5)
  }
  train, val = both(trees.write(tmp_path, files))
  assert (len(train), len(val)) == (8, 2)
  assert all("/train/" in file for file in trees.files(train))


def test_the_only_split_is_parted_and_else_there_must_be_a_train(tmp_path):
  files = {
    f"test/{c}/{i}.png": trees.png(i, c == "a") for c in "ab" for i in range(2)
  }
  train, _ = both(trees.write(tmp_path, files))
  assert all("/test/" in file for file in trees.files(train))
  with pytest.raises(errors.ConfigError, match="=test is not one of: train, v"):
    base.open_source(f"holdout:0.2*folder:{tmp_path}", "test")
  trees.write(tmp_path, {f"val/{c}/1.png": trees.png(7) for c in "ab"})
  with pytest.raises(errors.ConfigError, match="train is not one of: test, v"):
    both(tmp_path)
