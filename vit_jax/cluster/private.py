"""What the cluster needs of JAX and JAX has no public name for.

JAX may change these in any version. So each is looked up here and nowhere else,
`JAX` lists the versions in which they are known to work, and a version that
lacks one gets a line instead of a traceback.
"""

import importlib
import importlib.metadata
from typing import Any

from vit_jax.core import errors

# tests/cluster/test_private.py holds every use on the version it runs on.
JAX = ("0.10.2", "0.12.0.1")
_CLIENT = ("jax._src.distributed", "global_state.client")
_CLUSTERS = (
  "jax._src.clusters",
  "ClusterEnv.auto_detect_unset_distributed_params",
)
# Without the rest of JAX, jaxlib is imported at once.
_SERVICE = ("jaxlib._jax", "get_distributed_runtime_service")


def check() -> None:
  """Checks that this JAX has all that several processes need.

  Raises:
    DeviceError: it lacks something.
  """
  for module, name in (_CLIENT, _CLUSTERS, _SERVICE):
    _find(module, name)


def client() -> Any:
  """The connection of this process to JAX's coordination service."""
  return _find(*_CLIENT)


def find_cluster(timeout_s: int) -> tuple[Any, Any, Any, Any]:
  """The cluster that JAX recognises here: address, count, index, devices.

  All are None if it recognises none.
  """
  return _find(*_CLUSTERS)(*(None, None, None, None, None), timeout_s)


def serve(address: str, count: int, heartbeat_s: int, shutdown_s: int) -> Any:
  """JAX's coordination service for so many processes; it has `shutdown()`."""
  return _find(*_SERVICE)(
    address, count, heartbeat_timeout=heartbeat_s, shutdown_timeout=shutdown_s
  )


def _find(module: str, name: str) -> Any:
  try:
    value = importlib.import_module(module)
    for part in name.split("."):
      value = getattr(value, part)
  except (ImportError, AttributeError) as e:
    raise errors.DeviceError(
      f"jax={importlib.metadata.version('jax')} has no {module}.{name}, which"
      " several processes need; this version of vit_jax is known to work with"
      f" jax {' and '.join(JAX)}: install one of them, or run one process with"
      " --num_processes=1"
    ) from e
  return value
