"""The digits, built once."""

import pytest

from vit_jax.data import prepare


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory):
  path = str(tmp_path_factory.mktemp("tfds"))
  prepare.prepare("tfds:digits", path)
  return path
