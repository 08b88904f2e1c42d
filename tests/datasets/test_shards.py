"""One shard: a full disk, and images that cannot be read."""

import json
import resource

import pytest

from tests.data import trees
from tests.datasets import photos
from vit_jax.core import errors
from vit_jax.datasets import (
  write,
)


def test_a_disk_that_becomes_full(root, tmp_path):
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  files = {f"ant/{i}.png": trees.png(i) * 40 for i in range(900, 930)}
  trees.write(root, files)
  resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
  try:
    with pytest.raises(errors.StorageError) as caught:
      photos.build(root, tmp_path, workers=1)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  assert "cannot be written: " in str(caught.value)
  assert "File too large" in str(caught.value)
  assert "\n" not in str(caught.value)
  assert not list(tmp_path.glob("photos/*.incomplete/.*.part"))
  photos.build(root, tmp_path, workers=1)
  assert len(photos.content(tmp_path)) == 130


BAD = {
  "ant/bad.png": b"<html>not found</html>",
  "bee/cut.png": trees.png(1)[:-20],
}


def test_images_that_cannot_be_read(root, small_shards, tmp_path):
  trees.write(root, BAD)
  for workers in (1, 2):
    with pytest.raises(errors.DataError) as caught:
      photos.build(root, tmp_path, workers=workers)
    assert "the image is" in str(caught.value)
    assert "--on_error=skip" in str(caught.value)
  said = photos.build(root, tmp_path, workers=1, on_error="skip")
  assert "train 100; 2 of 102 left out, the first" in said
  assert len(photos.content(tmp_path)) == 100
  lines = (tmp_path / "photos/1.0.0" / write.SKIPPED).read_text().splitlines()
  reports = [json.loads(line) for line in lines]
  assert {r["key"] for r in reports} == {*BAD}
  assert all(r["split"] == "train" and r["why"] for r in reports)
