"""Checksums are noted when a data set is prepared, and compared later."""

import json

import pytest

from tests.datasets.verifying import TRAIN, check
from vit_jax.core import errors
from vit_jax.datasets import checksums


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
