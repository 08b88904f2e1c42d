"""What tests of several commands use."""

import pytest

from tests.export.test_predict import make
from vit_jax import checkpoints


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
  """A file in google-research's layout."""
  path = tmp_path_factory.mktemp("weights") / "tiny.npz"
  checkpoints.save(make(), "npz", path)
  return path
