"""Which files of a folder are images, and which folders are refused."""

import os
import pickle
import shutil

import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import base


def test_splits_share_their_classes(tmp_path):
  trees.classes(tmp_path / "train", {"ant": 3, "cat": 2})
  trees.classes(tmp_path / "val", {"bee": 2, "cat": 1})
  (tmp_path / "val" / "ant").mkdir()
  (tmp_path / "README.txt").write_text("hello")
  train, val = (trees.open_folder(tmp_path, s) for s in ("train", "val"))
  assert train.class_names == val.class_names == ("ant", "bee", "cat")
  assert (sorted(trees.labels(train)), sorted(trees.labels(val))) == (
    [0, 0, 0, 2, 2],
    [1, 1, 2],
  )
  assert train.fingerprint["version"] != val.fingerprint["version"]
  assert base.split_names(f"folder:{tmp_path}") == ("train", "val")


def test_a_class_may_be_called_train(tmp_path):
  trees.classes(tmp_path, {"car": 2, "train": 3})
  assert trees.open_folder(tmp_path).class_names == ("car", "train")


def test_names_of_all_kinds(tmp_path):
  root = os.fsencode(tmp_path)
  for name in (b"a\xff\xfe", "日本".encode(), b"with space", b"new\nline"):
    os.makedirs(os.path.join(root, name))
    for file in (b"\xe9.PNG", b"x y.JPeG"):
      with open(os.path.join(root, name, file), "wb") as f:
        f.write(trees.png(*name))
  for hidden in (".git/a.png", "with space/.b.png", "with space/notes.txt"):
    trees.write(tmp_path, {hidden: b"no image"})
  source = trees.open_folder(tmp_path)
  assert len(source) == 8
  assert source.class_names == (
    "a\\udcff\\udcfe",
    "new\nline",
    "with space",
    "日本",
  )
  assert source.remarks.ignored == (1, "with space/notes.txt")
  assert all(
    source[i]["image"] == trees.png(*name)
    for name, i in (
      (b"a\xff\xfe", trees.labels(source).index(0)),
      ("日本".encode(), trees.labels(source).index(3)),
    )
  )
  again = pickle.loads(pickle.dumps(source))  # noqa: S301
  assert trees.files(again) == trees.files(source)
  "".join(trees.files(source)).encode()


def test_links(tmp_path):
  root = trees.classes(tmp_path / "data", {"ant": 2, "bee": 2})
  other = trees.write(tmp_path / "other", {"x/0.png": trees.png(5)})
  (root / "ant" / "linked.png").symlink_to(other / "x/0.png")
  (root / "cow").symlink_to(other / "x")
  source = trees.open_folder(root)
  assert (len(source), source.num_classes) == (6, 3)


def loop(root):
  (root / "ant" / "in").mkdir()
  (root / "ant" / "in" / "loop").symlink_to(root / "ant")


def self_link(root):
  (root / "ant" / "self.png").symlink_to(root / "ant" / "self.png")


def broken_link(root):
  (root / "ant" / "gone.png").symlink_to(root / "gone.png")


def pipe(root):
  os.mkfifo(root / "ant" / "pipe.png")


def empty_class(root):
  (root / "zoo").mkdir()


def notes_only(root):
  trees.write(root, {"zoo/notes.txt": b"no images"})


def outside(root):
  trees.write(root, {"outside.jpg": b"x"})


def no_classes(root):
  for name in ("ant", "bee"):
    shutil.rmtree(root / name)


REFUSED = {
  loop: "data/ant/in/loop is a link to a folder that it is in",
  self_link: "data/ant/self.png cannot be read: Too many levels of symbolic",
  broken_link: "data/ant/gone.png cannot be read: No such file",
  pipe: "data/ant/pipe.png is not a regular file",
  empty_class: "data/zoo has no images (jpg, jpeg, jpe, jfif, png, gif, bmp,",
  notes_only: "data/zoo has no images",
  outside: "data/outside.jpg is in no folder of a class",
  no_classes: "data has no folders of classes; expected CLASS/IMAGE or",
}


@pytest.mark.parametrize("change", REFUSED)
def test_refused_folders(tmp_path, change):
  root = trees.classes(tmp_path / "data", {"ant": 2, "bee": 2})
  change(root)
  with pytest.raises(errors.DataError) as caught:
    trees.open_folder(root)
  assert REFUSED[change] in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
  root = trees.classes(tmp_path / "data", {"ant": 2, "bee": 2})
  real = os.scandir

  # The superuser may list everything, so that no mode would refuse.
  def refuse(path):
    if path.endswith(b"bee"):
      raise PermissionError(13, "Permission denied", path)
    return real(path)

  monkeypatch.setattr(os, "scandir", refuse)
  with pytest.raises(errors.DataError, match="data/bee cannot be read: Permis"):
    trees.open_folder(root)
