"""Folders of images: what is found, how it is split, what is refused."""

import pathlib
import pickle
import shutil

import numpy as np
import pytest

from tests.data import trees
from tests.preprocess import image_files
from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.preprocess.pipeline import Pipeline


def test_a_folder_of_classes(tmp_path):
  root = trees.classes(tmp_path / "photos")
  source = trees.open_folder(root)
  assert len(source) == 100
  assert (source.num_classes, source.class_names) == (3, ("ant", "bee", "cat"))
  assert base.split_names(f"folder:{root}") == ("train",)
  assert sorted(trees.files(source)) == sorted(map(str, root.glob("*/*.png")))
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


def test_the_fingerprint_is_paths_and_sizes(tmp_path):
  root = trees.classes(tmp_path / "a", {"ant": 3, "bee": 2})
  first = trees.open_folder(root).fingerprint
  assert first["name"] == "folder:a"
  assert first["shard_sizes"] == [0, 5, 5]
  shutil.move(root, tmp_path / "b" / "a")
  moved = trees.open_folder(tmp_path / "b" / "a").fingerprint
  assert moved == first
  file = tmp_path / "b" / "a" / "ant" / "0.png"
  whole = file.read_bytes()
  for change in (whole + b"x", None):
    file.unlink()
    if change:
      file.write_bytes(change)
    assert trees.open_folder(tmp_path / "b" / "a").fingerprint != first
  # Never contents: other bytes of the same number are not looked at.
  file.write_bytes(whole[::-1])
  assert trees.open_folder(tmp_path / "b" / "a").fingerprint == first


def test_pickled_sources_read_the_same(tmp_path):
  root = trees.classes(tmp_path)
  source = trees.open_folder(root, "train[20%:]")
  data = pickle.dumps(source)
  assert len(data) < 1000 + 2 * len(str(root))
  again = pickle.loads(data)  # noqa: S301
  assert [again[i] for i in (0, 79)] == [source[i] for i in (0, 79)]
  trees.write(root, {"ant/new.png": trees.png(1)})
  for _ in range(2):
    with pytest.raises(errors.DataError, match="changed while it was read"):
      pickle.loads(data)  # noqa: S301
    # Another process has made the index again.
    trees.open_folder(root)


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


def test_files_that_change_are_found_out_when_they_are_read(tmp_path):
  root = trees.classes(tmp_path / "data", {"ant": 2})
  source = trees.open_folder(root)
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


@pytest.mark.parametrize("kind", ["READ", "REFUSED"])
def test_images_of_every_kind(tmp_path, kind):
  images = getattr(image_files, kind)
  # The name of a file says nothing about what is in it.
  trees.write(tmp_path, {f"a/{n}.jpg": row[0] for n, row in images.items()})
  source = trees.open_folder(tmp_path)
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
  source = trees.open_folder(tmp_path)
  batches = pipeline.eval_batches(
    source, Pipeline.parse("decode"), batch_size=10, on_error="skip"
  )
  made = list(batches)
  assert sum(b["mask"].sum() for b in made) == len(good)
  assert sum(b["skipped"].sum() for b in made) == len(image_files.REFUSED)
  counted = np.concatenate([b["id"][b["mask"] == 1] for b in made])
  assert {pathlib.Path(source.where(i)).stem for i in counted} == set(good)


# Made with the version that had no rules of names and layouts: by data set and
# split, how the digest begins. Runs that were saved with it must resume.
SAVED = {
  ("flat", "train[:50%]"): "044e2effc23ab0d4",
  ("splits", "valid"): "faaeb4ca8b9ad939",
  ("splits", "test"): "5661075964980ce8",
  ("names.csv", "train"): "277e59861fba9c50",
  ("numbers.csv", "train"): "7cbb769ec90a8984",
  ("zeros.csv", "train"): "7cbb769ec90a8984",
  ("blanks.csv", "train"): "3d0b9c41d11ff6d4",
  ("nfd.csv", "train"): "56b0e37206c7ea8f",
}
LABELS = {
  "names": ("dog", "cat", "dog"),
  "numbers": (3, 1, 0),
  "zeros": ("03", "01", "00"),
  "blanks": (" dog", " cat", " dog"),
  "nfd": ("cafe\u0301", "01", "x"),
}


@pytest.mark.parametrize(("name", "split"), SAVED)
def test_fingerprints_are_those_of_saved_runs(tmp_path, name, split):
  """Of folders laid out as ever, also with decomposed names and blanks."""
  files = {
    f"{c}/{i}.png": b"x" * (i + 1)
    for c in ("ant", "b e\u0301e", "caf\u00e9")
    for i in range(3)
  }
  more = {"ant/deep/n.txt": b"", "ant/deep/4.JPG": b"xy"}
  trees.write(tmp_path / "flat", {**files, **more})
  for part in ("train", "valid", "test"):
    inner = {f"{part}/{path}": data for path, data in files.items()}
    trees.write(tmp_path / "splits", inner)
  trees.write(tmp_path, files)
  for kind, labels in LABELS.items():
    rows = zip(files, labels * 3, strict=True)
    text = "".join(f"{path},{label}\n" for path, label in rows)
    (tmp_path / f"{kind}.csv").write_text(f"path,label\n{text}")
  source = base.open_source(f"folder:{tmp_path / name}", split)
  assert source.fingerprint["files"].startswith(SAVED[name, split])
