import pathlib
import shutil

import pytest

from tests.checkpoints.states import saved


@pytest.fixture(scope="module")
def two(tmp_path_factory):
  """A directory with the steps 100 and 200; copy it before changing it."""
  return saved(tmp_path_factory.mktemp("two"), 100, 200)


@pytest.fixture
def copy(two, tmp_path):
  return pathlib.Path(shutil.copytree(two, tmp_path / "copy"))
