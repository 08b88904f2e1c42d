"""Which files of a folder are images, for every command alike."""

import os

import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import walk

# What other programs leave in folders of pictures; none of it is a picture.
FOREIGN = (
  *("._a.jpg", ".DS_Store", ".ipynb_checkpoints/a.png", "@eaDir/a.jpg"),
  *("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/._a.jpg", "Thumbs.db"),
  *("__MACOSX/ant/a.jpg", "#recycle/a.png", "$RECYCLE.BIN/a.png"),
  *("desktop.ini", ".vit_jax/folder.png", "lost+found/a.png", ".git/a.png"),
)
IMAGES = ("a.jpg", "b.JPEG", "c.jpe", "d.jfif", "e.tif", "f.TIFF", "g.avif")
IMAGES += ("h.png", "i.gif", "j.bmp", "k.webp")


def test_kinds(tmp_path):
  files = [*IMAGES, "l.heic", "m.HEIC", "n.jp2", "notes.txt", "list.csv", "jpg"]
  trees.write(tmp_path, {f"in/{name}": b"x" for name in files})
  found = walk.walk(os.fsencode(tmp_path))
  assert found.images == [f"in/{name}".encode() for name in IMAGES]
  assert found.unread == {".heic": 2, ".jp2": 1}
  assert found.others == [b"in/jpg", b"in/list.csv", b"in/notes.txt"]
  assert walk.unread_text(found.unread) == (
    "images that cannot be read and are left out: 2 .heic, 1 .jp2 (convert them"
    " to JPEG or PNG)"
  )
  assert walk.unread_text({}) == ""


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("place", ["", "train", "train/ant", "val/bee/deep"])
def test_foreign_files_change_nothing(tmp_path, name, place):
  for split in ("train", "val"):
    trees.classes(tmp_path / split, {"ant": 2, "bee": 2})
  before = trees.open_folder(tmp_path)
  fingerprint = before.fingerprint
  trees.write(tmp_path, {os.path.join(place, name): trees.png(1)})
  after = trees.open_folder(tmp_path)
  assert after.fingerprint == fingerprint
  assert after.class_names == ("ant", "bee")


def test_the_order_is_that_of_the_parts_of_paths(tmp_path):
  names = ["a/1.png", "a-b.png", "a.png", "b/0.png", "b/c/1.png", "b/d.png"]
  trees.write(tmp_path, {name: b"x" for name in names})
  found = walk.walk(os.fsencode(tmp_path)).images
  assert found == sorted(
    (os.fsencode(n) for n in names), key=lambda n: n.split(b"/")
  )


def test_a_loop_of_links(tmp_path):
  (tmp_path / "in").mkdir()
  (tmp_path / "in" / "loop").symlink_to(tmp_path)
  with pytest.raises(errors.DataError, match="in/loop is a link to a folder"):
    walk.walk(os.fsencode(tmp_path))
