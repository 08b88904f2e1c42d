"""A folder of images to be written as a data set of many small shards."""

import pytest

from tests.data import trees
from vit_jax.datasets import planned


@pytest.fixture
def small_shards(monkeypatch):
  """Shards of a few images, so that there are several."""
  monkeypatch.setattr(planned, "_SHARD_BYTES", 2000)
  monkeypatch.setattr(planned, "_LEAST_ITEMS", 8)


@pytest.fixture
def root(tmp_path):
  return trees.classes(tmp_path / "images")
