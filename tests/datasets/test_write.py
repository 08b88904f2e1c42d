"""Writing data sets: the same whatever the workers, and never by halves."""

import shutil
import signal

import pytest
import tensorflow_datasets as tfds

from tests.data import trees
from tests.datasets import photos
from vit_jax.core import errors
from vit_jax.datasets import (
  shards,
  verify,
  write,
)


def test_workers_change_nothing(root, small_shards, tmp_path):
  said = photos.build(root, tmp_path / "one", workers=1)
  assert said == (
    f"tfds:photos written to {tmp_path}/one/photos/1.0.0 (examples: train 100)"
  )
  photos.build(root, tmp_path / "two", workers=2)
  assert photos.digests(tmp_path / "one") == photos.digests(tmp_path / "two")
  info = tfds.builder("photos", data_dir=str(tmp_path / "one")).info
  assert info.splits["train"].num_shards == 12
  verified = verify.verify("tfds:photos", str(tmp_path / "one"), images=True)
  assert "checksums of all files, all images decoded" in verified
  wanted = sorted(
    (f"{name}/{i}.png", trees.png(c, i), c)
    for c, (name, count) in enumerate(trees.COUNTS.items())
    for i in range(count)
  )
  assert sorted(photos.content(tmp_path / "one")) == wanted


def test_it_goes_on_where_it_was_interrupted(
  root, small_shards, tmp_path, monkeypatch
):
  photos.build(root, tmp_path / "whole", workers=1)
  data_dir, written = tmp_path / "data", []

  def interrupted(job):
    if len(written) == 5:
      signal.raise_signal(signal.SIGTERM)
    written.append(job.file)
    return real(job)

  real = shards.write
  monkeypatch.setattr(shards, "write", interrupted)
  with pytest.raises(errors.Interrupted) as caught:
    photos.build(root, data_dir, workers=1)
  assert caught.value.exit_code == 143
  assert "run the same command to go on" in str(caught.value)
  with pytest.raises(errors.ConfigError, match="is not prepared"):
    photos.content(data_dir)
  # A shard without its report, and half of one.
  work = data_dir / "photos/1.0.0.incomplete"
  (work / ".photos-train.array_record-00005-of-00012.part").write_bytes(b"half")
  first = written[0].replace("photos-", "").replace(".array_record", "")
  (data_dir / f"photos/1.0.0.plan/shards/{first}.done").unlink()
  done = written[:]
  written.clear()
  monkeypatch.setattr(
    shards, "write", lambda job: written.append(job.file) or real(job)
  )
  photos.build(root, data_dir, workers=1)
  assert not {*written} & {*done[1:]}
  assert done[0] in written and len(written) == 8
  assert photos.digests(data_dir) == photos.digests(tmp_path / "whole")
  assert [p.name for p in (data_dir / "photos").iterdir()] == ["1.0.0"]


def test_other_work_is_not_mixed_in(root, small_shards, tmp_path, monkeypatch):
  def fail(job):
    raise errors.DataError("no")

  with monkeypatch.context() as patch:
    patch.setattr(shards, "write", fail)
    with pytest.raises(errors.DataError):
      photos.build(root, tmp_path, workers=1)
  (root / "ant/new.png").write_bytes(trees.png(7))
  with pytest.raises(errors.ConfigError, match="holds unfinished work on"):
    photos.build(root, tmp_path, workers=1)


def test_a_second_writer_is_refused(root, tmp_path):
  with (
    write.work_folders(tmp_path / "photos/1.0.0", "photos"),
    pytest.raises(errors.DataError, match="by another process"),
  ):
    photos.build(root, tmp_path, workers=1)


def test_too_little_room_is_said_before(root, tmp_path, monkeypatch):
  usage = shutil.disk_usage(tmp_path)._replace(free=1000)
  monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
  with pytest.raises(
    errors.StorageError, match=r"0\.0 MB free, and 0\.0 MB ar"
  ):
    photos.build(root, tmp_path, workers=1)
