"""Eight CPU devices, strict numerics, warnings are errors (pyproject.toml)."""

import jax
import pytest

from vit_jax.data import prepare

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
  """A folder with the digits, prepared once."""
  folder = tmp_path_factory.mktemp("data")
  prepare.prepare("tfds:digits", str(folder))
  return folder
