"""A folder of images to be written as a data set of many small shards."""

import pathlib
import shutil

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


@pytest.fixture
def digits(digits_dir, tmp_path):
  """A copy of the prepared digits, to be damaged."""
  shutil.copytree(pathlib.Path(digits_dir) / "digits", tmp_path / "digits")
  return tmp_path / "digits" / "1.0.0"
