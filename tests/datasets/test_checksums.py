"""Checksums are noted when a data set is prepared, and compared later."""

import json
import pathlib
import shutil

import pytest

from vit_jax.core import errors
from vit_jax.datasets import checksums, verify


@pytest.fixture
def digits(digits_dir, tmp_path):
  shutil.copytree(pathlib.Path(digits_dir) / "digits", tmp_path / "digits")
  return tmp_path / "digits" / "1.0.0"


def check(digits, **kwargs):
  return verify.verify("tfds:digits", str(digits.parents[1]), **kwargs)


TRAIN = "digits-train.array_record-00000-of-00001"


def test_prepare_notes_checksums(digits):
  noted = json.loads((digits / checksums.FILE).read_text())
  assert set(noted) == {
    TRAIN,
    TRAIN.replace("train", "test"),
    "dataset_info.json",
    "features.json",
  }
  assert check(digits, images=True) == (
    "tfds:digits is whole: published counts, records of all shards, checksums"
    " of all files, all images decoded, examples: train 1,446, test 351"
  )


def flip(file):
  data = bytearray(file.read_bytes())
  data[len(data) // 2] ^= 1
  file.write_bytes(data)


def test_checksums_are_noted_where_there_are_none(digits):
  (digits / checksums.FILE).unlink()
  assert "checksums of all files noted, there were none" in check(digits)
  assert "checksums of all files, examples" in check(digits)
  flip(digits / TRAIN)
  with pytest.raises(errors.DataError, match="another size or checksum"):
    check(digits)
