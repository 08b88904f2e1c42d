"""TFRecord data sets become the ArrayRecord data sets that they would be."""

import pathlib
import shutil

import pytest

from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.datasets import prepare, verify
from vit_jax.datasets.builders import digits

TRAIN = "digits/1.0.0/digits-train.tfrecord-00000-of-00001"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tfrecord")
  builder = digits.Builder(data_dir=str(folder), file_format="tfrecord")
  builder.download_and_prepare()
  return folder


@pytest.fixture
def old(built, tmp_path):
  return shutil.copytree(built, tmp_path / "old")


def convert(old, new):
  return prepare.prepare("tfds:digits", str(new), str(old))


def examples(folder, split):
  source = base.open_source("tfds:digits", split, str(folder))
  return [source[i] for i in range(len(source))]


def test_converted_is_as_built(old, digits_dir, tmp_path):
  new = tmp_path / "new"
  said = convert(old, new)
  assert said == (
    f"tfds:digits converted to {new}/digits/1.0.0 (1,797 examples, 2 shards)"
  )
  for split in ("train", "test"):
    assert examples(new, split) == examples(digits_dir, split)
  assert "checksums of all files" in verify.verify("tfds:digits", str(new))
  assert not list(new.glob("**/*tfrecord*"))
  assert (old / TRAIN).exists()
  with pytest.raises(errors.ConfigError, match="; choose another --data_dir"):
    convert(old, new)


def test_damage_is_named_and_work_is_kept(old, tmp_path):
  file, new = old / TRAIN, tmp_path / "new"
  whole = file.read_bytes()
  for data, said in (
    (whole[: len(whole) // 2], f"{file} cannot be read: "),
    (whole[:5000] + b"\xff" + whole[5001:], f"{file} cannot be read: "),
    (b"", f"{file} has 0 records, not 1446"),
  ):
    file.write_bytes(data)
    with pytest.raises(errors.DataError) as caught:
      convert(old, new)
    assert said in str(caught.value)
    with pytest.raises(errors.ConfigError, match="is not prepared"):
      base.open_source("tfds:digits", "train", str(new))
  file.write_bytes(whole)
  # The other shard was done and is not read again.
  pathlib.Path(str(file).replace("train", "test")).write_bytes(b"")
  convert(old, new)
  assert len(examples(new, "train")) == 1446
  assert len(examples(new, "test")) == 351


def test_only_tfrecord_is_converted(digits_dir, tmp_path):
  with pytest.raises(errors.ConfigError, match="is in array_record, not in tf"):
    convert(digits_dir, tmp_path / "new")
