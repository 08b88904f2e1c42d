"""Damage to data sets is found and named."""

import shutil

import pytest

from tests.data import trees
from tests.datasets.verifying import TRAIN, check
from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.datasets import checksums, verify
from vit_jax.preprocess.pipeline import Pipeline


def flip(file):
  data = bytearray(file.read_bytes())
  data[len(data) // 2] ^= 1
  file.write_bytes(data)


DAMAGE = {
  "flipped": (
    lambda d: flip(d / TRAIN),
    f"{TRAIN} has another size or checksum than at first",
  ),
  "removed": (
    lambda d: (d / TRAIN).unlink(),
    f"{TRAIN} is missing",
  ),
  "cut": (
    lambda d: (d / TRAIN).write_bytes((d / TRAIN).read_bytes()[:-999]),
    f"{TRAIN} cannot be read",
  ),
  "exchanged": (
    lambda d: shutil.copy(d / TRAIN.replace("train", "test"), d / TRAIN),
    f"{TRAIN} has 351 records, not 1446",
  ),
  "added": (lambda d: (d / "new").write_text(""), "new was added"),
  "checksums": (
    lambda d: (d / checksums.FILE).write_text("{"),
    f"{checksums.FILE} cannot be read",
  ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(digits, name):
  change, said = DAMAGE[name]
  change(digits)
  with pytest.raises(errors.DataError) as caught:
    check(digits)
  assert said in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_damaged_record_names_its_shard(digits):
  file = digits / TRAIN
  data = bytearray(file.read_bytes())
  data[20_000:21_000] = bytes(1000)
  file.write_bytes(data)
  source = base.open_source("tfds:digits", "train", str(digits.parents[1]))
  batches = pipeline.eval_batches(
    source, Pipeline.parse("decode(1)"), batch_size=1446
  )
  with pytest.raises(errors.DataError) as caught:
    batches[0]
  assert f"split train: {file}, record " in str(caught.value)
  assert "cannot be read: Corrupted" in str(caught.value)
  with pytest.raises(errors.DataError, match=r"record \d+ cannot be read"):
    check(digits, images=True)


def test_records_are_named_within_their_shard(digits):
  source = base.open_source(
    "tfds:digits", "train[10:20]+test[5:]", str(digits.parents[1])
  )
  assert source.where(9).endswith(f"{TRAIN}, record 19")
  assert source.where(10).endswith(
    "digits-test.array_record-00000-of-00001, record 5"
  )
  with pytest.raises(IndexError):
    source.where(10 + 346)


def test_a_folder(tmp_path):
  root = trees.classes(tmp_path, {"ant": 3, "bee": 30})
  name = f"folder:{root}"
  assert verify.verify(name, images=True) == (
    f"{name} is whole: sizes of all files, all images decoded,"
    " examples: train 33"
  )
  file = root / "ant" / "1.png"
  size = file.stat().st_size
  with file.open("r+b") as f:
    f.write(b"rubbish!")
  assert "is whole" in verify.verify(name)
  with pytest.raises(errors.DataError) as caught:
    verify.verify(name, images=True)
  assert f"1 faults: {file}: the image is no JPEG" in str(caught.value)
  for k in range(25):
    with (root / "bee" / f"{k}.png").open("ab") as f:
      f.write(b"x")
  with pytest.raises(errors.DataError) as caught:
    verify.verify(name)
  assert f"{name}: 25 faults: " in str(caught.value)
  assert str(caught.value).count(f" has {size + 1} bytes, not {size}") == 20
  assert str(caught.value).endswith("; and 5 more")


def test_nothing_to_compare():
  assert verify.verify("synthetic") == (
    "synthetic is whole: examples: train 1,000, validation 1,000, test 1,000"
  )
