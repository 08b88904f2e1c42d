"""What JAX has no public name for is there, in the versions that are listed."""

import importlib
import pathlib
import re

import jax
import pytest

import vit_jax
from vit_jax.cluster import lifeline, private
from vit_jax.core import errors

USES = {
  "jax._src.distributed": "global_state",
  "jax._src.clusters": "ClusterEnv",
  "jaxlib._jax": "get_distributed_runtime_service",
}


def test_each_use_holds_on_this_version():
  # Add a version to the list once this file and tests/e2e/test_processes.py
  # pass on it.
  assert jax.__version__ in private.JAX
  private.check()


def test_no_one_is_connected():
  assert private.client() is None
  assert lifeline.place() == (0, 1)


def test_slurm_is_recognised(monkeypatch):
  assert private.find_cluster(1) == (None, None, None, None)
  slurm = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "host[1-2]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
  }
  for name, value in slurm.items():
    monkeypatch.setenv(name, value)
  address, count, index, devices = private.find_cluster(1)
  assert address.startswith("host1:")
  assert (count, index, devices) == (4, 3, [1])


def test_the_service_starts_and_ends():
  service = private.serve("127.0.0.1:0", 1, heartbeat_s=10, shutdown_s=1)
  service.shutdown()


@pytest.mark.parametrize(("module", "name"), USES.items())
def test_a_version_without_one_gets_a_line(module, name, monkeypatch):
  monkeypatch.delattr(importlib.import_module(module), name)
  with pytest.raises(errors.DeviceError) as caught:
    lifeline.connect("127.0.0.1:1", 2, 0)
  assert re.fullmatch(
    rf"jax={re.escape(jax.__version__)} has no {re.escape(f'{module}.{name}')}"
    r"[.\w]*, which several processes need; .* jax 0\.10\.2 and 0\.12\.0\.1:"
    r" install one of them, or run one process with --num_processes=1",
    str(caught.value),
  )


def test_they_are_looked_up_in_one_file():
  package = pathlib.Path(vit_jax.__file__).parent
  uses = re.compile(r"jax\._src|jaxlib\._jax")
  files = [
    str(path.relative_to(package))
    for path in sorted(package.rglob("*.py"))
    if uses.search(path.read_text())
  ]
  assert files == ["cluster/private.py"]
