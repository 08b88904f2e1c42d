"""Eight CPU devices, strict numerics, warnings are errors (pyproject.toml)."""

import os
import tempfile

import jax
import pytest

from tests import bucket_server, compiling, slowest
from vit_jax.cli import tpu
from vit_jax.datasets import prepare

# For the processes that tests start, and for compiling for TPUs in this one.
tpu.compile_only()
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {compiling.FLAGS}"
jax.config.update("jax_platforms", "cpu")
# Tests that build the same run compile it once. The folder is this process's
# own, because JAX does not write the files of its cache atomically.
_compiled = tempfile.TemporaryDirectory(prefix="vit_jax_compiled_")
jax.config.update("jax_compilation_cache_dir", _compiled.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
  """A folder with the digits, prepared once."""
  folder = tmp_path_factory.mktemp("data")
  prepare.prepare("tfds:digits", str(folder))
  return folder


@pytest.fixture(scope="session")
def digits_dir(data_dir):
  """`data_dir` as text."""
  return str(data_dir)


@pytest.fixture(scope="session")
def bucket_service():
  # TensorStore remembers where its buckets are.
  with bucket_server.serve() as served:
    os.environ["TENSORSTORE_GCS_HTTP_URL"] = served.url
    os.environ["GOOGLE_AUTH_TOKEN_FOR_TESTING"] = "any"
    # ArrayRecord's.
    os.environ["CLOUD_STORAGE_EMULATOR_ENDPOINT"] = served.url
    yield served


@pytest.fixture
def bucket(bucket_service):
  """An empty bucket, gs://bucket; also for processes that the test starts."""
  bucket_service.objects.clear()
  return bucket_service


def pytest_collection_modifyitems(items):
  """Puts the tests of slow files first, so that two workers end together."""
  seconds = slowest.FILES
  items.sort(key=lambda item: -seconds.get(item.nodeid.split("::")[0], 0))


def pytest_addoption(parser):
  parser.addoption(
    "--update_golden",
    action="store_true",
    help="write the golden files anew; review the difference",
  )


@pytest.fixture
def golden(request):
  """Compares text with a golden file, or writes it with --update_golden."""

  def compare(path, text):
    if request.config.getoption("--update_golden"):
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text)
    assert path.exists(), f"no {path}: run pytest with --update_golden"
    assert text == path.read_text()

  return compare
