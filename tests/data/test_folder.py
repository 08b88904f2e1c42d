"""Folders of images: what is found, how it is split, what is refused."""

import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from tests.data import trees
from tests.preprocess import image_files
from vit_jax.core import errors
from vit_jax.data import base, index, pipeline, scan, table
from vit_jax.preprocess.pipeline import Pipeline


def open_folder(root, split="train"):
  return base.open_source(f"folder:{root}", split)


def files(source):
  return [source.where(i) for i in range(len(source))]


def labels(source):
  return [source.label(i) for i in range(len(source))]


def test_a_folder_of_classes(tmp_path):
  root = trees.classes(tmp_path / "photos")
  source = open_folder(root)
  assert len(source) == 100
  assert (source.num_classes, source.class_names) == (3, ("ant", "bee", "cat"))
  assert base.split_names(f"folder:{root}") == ("train",)
  assert sorted(files(source)) == sorted(map(str, root.glob("*/*.png")))
  for i in range(100):
    example = source[i]
    file = pathlib.Path(source.where(i))
    assert example["image"] == file.read_bytes()
    assert source.class_names[example["label"]] == file.parent.name
    assert example["id"] == i
  with pytest.raises(IndexError):
    source[100]
  with pytest.raises(IndexError):
    source[-1]


@pytest.mark.parametrize("cut", ["0%", "10%", "33.3%", "50%", "90%", "17"])
def test_parts_are_disjoint_whole_and_stratified(tmp_path, cut):
  root = trees.classes(tmp_path)
  parts = [
    open_folder(root, split)
    for split in (f"train[:{cut}]", f"train[{cut}:]")
    if split != "train[:0%]"
  ]
  assert sum(map(len, parts)) == 100
  together = {f for part in parts for f in files(part)}
  assert together == set(files(open_folder(root)))
  for part in parts:
    share = len(part) / 100
    for label, count in enumerate(trees.COUNTS.values()):
      assert abs(labels(part).count(label) - share * count) <= 1


def test_a_part_is_the_same_anywhere_and_no_run_of_names(tmp_path):
  source = open_folder(trees.classes(tmp_path / "a"), "train[:30%]")
  shutil.copytree(tmp_path / "a", tmp_path / "b")
  shutil.rmtree(tmp_path / "b" / index.FOLDER)
  again = open_folder(tmp_path / "b", "train[:30%]")
  mine, theirs = (
    [pathlib.Path(f).parts[-2:] for f in files(s)] for s in (source, again)
  )
  assert mine == theirs
  assert sorted(name for c, name in mine if c == "cat") != [
    f"{i}.png" for i in range(15)
  ]


def test_splits_share_their_classes(tmp_path):
  trees.classes(tmp_path / "train", {"ant": 3, "cat": 2})
  trees.classes(tmp_path / "val", {"bee": 2, "cat": 1})
  (tmp_path / "val" / "ant").mkdir()
  (tmp_path / "README.txt").write_text("hello")
  train, val = (open_folder(tmp_path, s) for s in ("train", "val"))
  assert train.class_names == val.class_names == ("ant", "bee", "cat")
  assert (sorted(labels(train)), sorted(labels(val))) == (
    [0, 0, 0, 2, 2],
    [1, 1, 2],
  )
  assert train.fingerprint["version"] != val.fingerprint["version"]
  assert base.split_names(f"folder:{tmp_path}") == ("train", "val")


def test_a_class_may_be_called_train(tmp_path):
  trees.classes(tmp_path, {"car": 2, "train": 3})
  assert open_folder(tmp_path).class_names == ("car", "train")


def test_the_fingerprint_is_paths_and_sizes(tmp_path):
  root = trees.classes(tmp_path / "a", {"ant": 3, "bee": 2})
  first = open_folder(root).fingerprint
  assert first["name"] == "folder:a"
  assert first["shard_sizes"] == [0, 5, 5]
  shutil.move(root, tmp_path / "b" / "a")
  moved = open_folder(tmp_path / "b" / "a").fingerprint
  assert moved == first
  file = tmp_path / "b" / "a" / "ant" / "0.png"
  whole = file.read_bytes()
  for change in (whole + b"x", None):
    file.unlink()
    if change:
      file.write_bytes(change)
    assert open_folder(tmp_path / "b" / "a").fingerprint != first
  # Never contents: other bytes of the same number are not looked at.
  file.write_bytes(whole[::-1])
  assert open_folder(tmp_path / "b" / "a").fingerprint == first


def test_the_index_is_used_and_given_up_when_a_folder_changes(
  tmp_path, monkeypatch
):
  root = trees.classes(tmp_path, {"ant": 3, "bee": 2})
  scans = []
  real = scan.scan

  def counted(path):
    scans.append(path)
    return real(path)

  monkeypatch.setattr(scan, "scan", counted)
  for _ in range(3):
    assert len(open_folder(root)) == 5
  assert len(scans) == 1
  trees.write(root, {"bee/deep/new.png": trees.png(9)})
  assert len(open_folder(root)) == 6
  trees.write(root, {"bee/deep/newer.png": trees.png(8)})
  assert len(open_folder(root)) == 7
  trees.write(root, {"cow/0.png": trees.png(7)})
  assert open_folder(root).num_classes == 3
  assert len(scans) == 4
  file = root / index.FOLDER / "folder"
  whole = file.read_bytes()
  for damaged in (whole[:-1], whole[:9], b"", whole[:99] + b"\xff" * 50):
    file.write_bytes(damaged)
    assert len(open_folder(root)) == 8
  assert len(scans) == 8


def test_a_folder_that_cannot_be_written_is_indexed_elsewhere(
  tmp_path, monkeypatch
):
  root = trees.classes(tmp_path / "data", {"ant": 3, "bee": 2})
  # A file where the folder of the index would be: not even root may write.
  (root / index.FOLDER).write_text("")
  monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path / "home")
  first = open_folder(root)
  assert len(list((tmp_path / "home/.cache/vit_jax").glob("*/folder"))) == 1
  again = pickle.loads(pickle.dumps(first))  # noqa: S301
  assert again.fingerprint == first.fingerprint
  (tmp_path / "nowhere").write_text("")
  monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path / "nowhere")
  with pytest.raises(errors.StorageError, match="make one of these folders wr"):
    open_folder(root)


def test_pickled_sources_read_the_same(tmp_path):
  root = trees.classes(tmp_path)
  source = open_folder(root, "train[20%:]")
  data = pickle.dumps(source)
  assert len(data) < 1000 + 2 * len(str(root))
  again = pickle.loads(data)  # noqa: S301
  assert [again[i] for i in (0, 79)] == [source[i] for i in (0, 79)]
  trees.write(root, {"ant/new.png": trees.png(1)})
  for _ in range(2):
    with pytest.raises(errors.DataError, match="changed while it was read"):
      pickle.loads(data)  # noqa: S301
    # Another process has made the index again.
    open_folder(root)


def test_names_of_all_kinds(tmp_path):
  root = os.fsencode(tmp_path)
  for name in (b"a\xff\xfe", "日本".encode(), b"with space", b"new\nline"):
    os.makedirs(os.path.join(root, name))
    for file in (b"\xe9.PNG", b"x y.JPeG"):
      with open(os.path.join(root, name, file), "wb") as f:
        f.write(trees.png(*name))
  for hidden in (".git/a.png", "with space/.b.png", "with space/notes.txt"):
    trees.write(tmp_path, {hidden: b"no image"})
  source = open_folder(tmp_path)
  assert len(source) == 8
  assert source.class_names == (
    "a\\udcff\\udcfe",
    "new\nline",
    "with space",
    "日本",
  )
  assert source.ignored == (1, "with space/notes.txt")
  assert all(
    source[i]["image"] == trees.png(*name)
    for name, i in (
      (b"a\xff\xfe", labels(source).index(0)),
      ("日本".encode(), labels(source).index(3)),
    )
  )
  again = pickle.loads(pickle.dumps(source))  # noqa: S301
  assert files(again) == files(source)
  "".join(files(source)).encode()


def test_links(tmp_path):
  root = trees.classes(tmp_path / "data", {"ant": 2, "bee": 2})
  other = trees.write(tmp_path / "other", {"x/0.png": trees.png(5)})
  (root / "ant" / "linked.png").symlink_to(other / "x/0.png")
  (root / "cow").symlink_to(other / "x")
  source = open_folder(root)
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
  empty_class: "data/zoo has no images (jpg, jpeg, png, gif, bmp, webp)",
  notes_only: "data/zoo has no images",
  outside: "data/outside.jpg is in no folder of a class",
  no_classes: "data has no folders of classes; expected CLASS/IMAGE or",
}


@pytest.mark.parametrize("change", REFUSED)
def test_refused_folders(tmp_path, change):
  root = trees.classes(tmp_path / "data", {"ant": 2, "bee": 2})
  change(root)
  with pytest.raises(errors.DataError) as caught:
    open_folder(root)
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
    open_folder(root)


WRONG_NAMES = {
  ("folder:", "train"): "name=folder:: nothing is no folder, *.csv or *.jsonl",
  ("folder:nowhere", "train"): "nowhere is no folder, *.csv or *.jsonl file",
  ("folder:gs://bucket/x", "train"): "gs://bucket/x is no folder",
  ("multilabel:ROOT", "train"): "ROOT is no *.csv or *.jsonl file on this",
  ("folder:ROOT", "test"): "split=test is unknown (splits: train (100), and pa",
  ("folder:ROOT", "trian[:9]"): "is unknown; did you mean train?",
  ("folder:ROOT", "train[:9"): "split=train[:9 is unknown",
  ("folder:ROOT", "train[:0%]"): "split=train[:0%] is examples 0 to 0 of 100",
  ("folder:ROOT", "train[50:40]"): "is examples 50 to 40 of 100",
  ("folder:ROOT", "train[:101]"): "is examples 0 to 101 of 100",
  ("folder:ROOT", "train[:101%]"): "is examples 0 to 101 of 100",
  ("folder:ROOT", "train[-101:]"): "is examples -1 to 100 of 100",
}


@pytest.mark.parametrize("what", WRONG_NAMES)
def test_wrong_names(tmp_path, what):
  trees.classes(tmp_path)
  name, split = what
  with pytest.raises(errors.ConfigError) as caught:
    base.open_source(name.replace("ROOT", str(tmp_path)), split)
  assert WRONG_NAMES[what].replace("ROOT", str(tmp_path)) in str(caught.value)


@pytest.mark.parametrize(
  ("split", "first", "last"),
  [
    ("train", 0, 99),
    ("train[-10%:]", 90, 99),
    ("train[:-10%]", 0, 89),
    ("train[-7:]", 93, 99),
    ("train[20:40]", 20, 39),
    ("train[12.5%:]", 13, 99),
    ("train[:]", 0, 99),
  ],
)
def test_parts_by_place(tmp_path, split, first, last):
  root = trees.classes(tmp_path)
  whole, part = files(open_folder(root)), files(open_folder(root, split))
  assert part == whole[first : last + 1]


def test_files_that_change_are_found_out_when_they_are_read(tmp_path):
  root = trees.classes(tmp_path / "data", {"ant": 2})
  source = open_folder(root)
  file = pathlib.Path(source.where(1))
  whole = file.read_bytes()
  for data, said in (
    (whole[:-1], f"{file} has less than the {len(whole)} bytes"),
    (whole + b"x", f"{file} has more than the {len(whole)} bytes"),
    (None, f"{file} cannot be read: No such file"),
  ):
    file.unlink()
    if data:
      file.write_bytes(data)
    with pytest.raises(errors.DataError) as caught:
      source[1]
    assert str(caught.value).startswith(said)


def test_an_index_cannot_lead_out_of_its_folder(tmp_path):
  root = trees.classes(tmp_path / "data", {"ant": 1})
  open_folder(root)
  file = root / index.FOLDER / "folder"
  whole = file.read_bytes()
  for path in (b"../x/y.png", b"/etc/passwd"):
    size = len(b"ant/0.png")
    file.write_bytes(whole.replace(b"ant/0.png", path[:size].ljust(size, b"/")))
    with pytest.raises(errors.DataError, match="is damaged; remove it"):
      open_folder(root)[0]


def test_the_same_path_twice(tmp_path):
  file = tmp_path / "list.csv"
  trees.write(tmp_path, {"a.png": trees.png(1)})
  file.write_text("path,label\na.png,x\n./a.png,y\n")
  with pytest.raises(errors.DataError, match="png is listed twice"):
    base.open_source(f"folder:{file}", "train")


@pytest.mark.parametrize("kind", ["READ", "REFUSED"])
def test_images_of_every_kind(tmp_path, kind):
  images = getattr(image_files, kind)
  # The name of a file says nothing about what is in it.
  trees.write(tmp_path, {f"a/{n}.jpg": row[0] for n, row in images.items()})
  source = open_folder(tmp_path)
  assert len(source) == len(images)
  for i in range(len(source)):
    name = pathlib.Path(source.where(i)).stem
    batches = pipeline.eval_batches(
      source, Pipeline.parse("decode|resize(8)"), batch_size=1
    )
    if kind == "READ":
      assert batches[i]["image"].shape == (1, 8, 8, 3)
      continue
    with pytest.raises(errors.DataError) as caught:
      batches[i]
    assert f"split train: {source.where(i)}: the image " in str(caught.value)
    assert images[name][1] in str(caught.value)


def test_skipping_hostile_images(tmp_path):
  good = {f"good{i}": (trees.png(i),) for i in range(9)}
  images = {**image_files.REFUSED, **good}
  trees.write(tmp_path, {f"a/{n}.jpg": row[0] for n, row in images.items()})
  source = open_folder(tmp_path)
  batches = pipeline.eval_batches(
    source, Pipeline.parse("decode"), batch_size=10, on_error="skip"
  )
  made = list(batches)
  assert sum(b["mask"].sum() for b in made) == len(good)
  assert sum(b["skipped"].sum() for b in made) == len(image_files.REFUSED)
  counted = np.concatenate([b["id"][b["mask"] == 1] for b in made])
  assert {pathlib.Path(source.where(i)).stem for i in counted} == set(good)


def test_the_fingerprint_knows_names_and_classes(tmp_path):
  def version():
    return open_folder(tmp_path, "train").fingerprint["version"]

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
  order = [f[len(str(root)) + 1 : -4] for f in files(open_folder(root))]
  assert " ".join(order) == ("a/1 b/1 a/3 b/2 b/3 a/0 a/2 b/0")
