"""The order of the files of a data set, and its digests."""

import pathlib
import shutil

import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import base, index, table


@pytest.mark.parametrize("cut", ["0%", "10%", "33.3%", "50%", "90%", "17"])
def test_parts_are_disjoint_whole_and_stratified(tmp_path, cut):
  root = trees.classes(tmp_path)
  parts = [
    trees.open_folder(root, split)
    for split in (f"train[:{cut}]", f"train[{cut}:]")
    if split != "train[:0%]"
  ]
  assert sum(map(len, parts)) == 100
  together = {f for part in parts for f in trees.files(part)}
  assert together == set(trees.files(trees.open_folder(root)))
  for part in parts:
    share = len(part) / 100
    for label, count in enumerate(trees.COUNTS.values()):
      assert abs(trees.labels(part).count(label) - share * count) <= 1


def test_a_part_is_the_same_anywhere_and_no_run_of_names(tmp_path):
  source = trees.open_folder(trees.classes(tmp_path / "a"), "train[:30%]")
  shutil.copytree(tmp_path / "a", tmp_path / "b")
  shutil.rmtree(tmp_path / "b" / index.FOLDER)
  again = trees.open_folder(tmp_path / "b", "train[:30%]")
  mine, theirs = (
    [pathlib.Path(f).parts[-2:] for f in trees.files(s)]
    for s in (source, again)
  )
  assert mine == theirs
  assert sorted(name for c, name in mine if c == "cat") != [
    f"{i}.png" for i in range(15)
  ]


def test_the_same_path_twice(tmp_path):
  file = tmp_path / "list.csv"
  trees.write(tmp_path, {"a.png": trees.png(1)})
  file.write_text("path,label\na.png,x\n./a.png,y\n")
  with pytest.raises(errors.DataError, match="png is listed twice"):
    base.open_source(f"folder:{file}", "train")


def test_the_fingerprint_knows_names_and_classes(tmp_path):
  def version():
    return trees.open_folder(tmp_path, "train").fingerprint["version"]

  trees.classes(tmp_path / "train", {"ant": 3, "bee": 2})
  trees.classes(tmp_path / "val", {"ant": 1})
  seen = [version()]
  # Of the same size, and in the same place of the order of names.
  (tmp_path / "train/ant/0.png").rename(tmp_path / "train/ant/00.png")
  seen.append(version())
  # A class that only another split has is a class of this one as well.
  trees.classes(tmp_path / "val", {"zebra": 1})
  seen.append(version())
  (tmp_path / "train/ant/1.png").rename(tmp_path / "train/bee/1.jpg")
  seen.append(version())
  assert len(set(seen)) == 4


@pytest.mark.parametrize("rows", [3, 1000])
def test_the_order_never_changes(tmp_path, monkeypatch, rows):
  """Old runs could not go on, and parts of a split would mix, if it did."""
  monkeypatch.setattr(table, "_ROWS", rows)
  root = trees.write(
    tmp_path, {f"{c}/{i}.png": b"x" for c in "ab" for i in range(4)}
  )
  order = [
    f[len(str(root)) + 1 : -4] for f in trees.files(trees.open_folder(root))
  ]
  assert " ".join(order) == ("a/1 b/1 a/3 b/2 b/3 a/0 a/2 b/0")
