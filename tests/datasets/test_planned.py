"""Which image goes into which shard."""

import numpy as np
import pytest

from tests.data import trees
from tests.datasets import mine, photos
from vit_jax.core import errors
from vit_jax.datasets import (
  planned,
)


def test_the_number_of_shards_does_not_change_the_order(
  root, tmp_path, monkeypatch
):
  photos.build(root, tmp_path / "one", workers=1)
  monkeypatch.setattr(planned, "_SHARD_BYTES", 2000)
  monkeypatch.setattr(planned, "_LEAST_ITEMS", 8)
  photos.build(root, tmp_path / "many", workers=1)
  assert photos.content(tmp_path / "one") == photos.content(tmp_path / "many")
  labels = [label for _, _, label in photos.content(tmp_path / "one")]
  # Half of the images are of the third class, of any part of the order.
  assert 16 <= np.sum(np.equal(labels[:50], 2)) <= 34


def test_the_number_of_shards():
  assert planned.number_of_shards(10, 1) == 1
  assert planned.number_of_shards(1_281_167, 147_897_477_120) == 551
  assert planned.number_of_shards(14_197_122, 1_310_000_000_000) == 4881
  assert planned.number_of_shards(300_000_000, 30 * 10**12) == 10_000
  # A few huge images do not have a shard each.
  assert planned.number_of_shards(100, 2**40) == 1


def test_a_row_that_is_there_twice(tmp_path):
  trees.write(tmp_path, {"x.png": trees.png(1)})
  row = {"path": "x.png", "labels": [1]}
  with pytest.raises(errors.DataError, match=r"x\.png is listed twice"):
    mine.run(mine.manifest(tmp_path, [row, row]), tmp_path / "data")
