"""What a run and its results were made with: code, versions, machine."""

from collections.abc import Mapping
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax

from vit_jax.core import identity

_PACKAGES = (
  *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy"),
  *("tensorflow-datasets", "opencv-python-headless", "vit_jax"),
)


def code() -> dict[str, str]:
  """The code of this process: a hash of each source file, and versions."""
  root = pathlib.Path(__file__).parents[1]
  return {
    **{
      str(path.relative_to(root.parent)): hashlib.sha256(
        path.read_bytes()
      ).hexdigest()[:12]
      for path in sorted(root.rglob("*.py"))
    },
    **{name: importlib.metadata.version(name) for name in _PACKAGES},
    "python": platform.python_version(),
  }


def describe() -> dict[str, Any]:
  """The git revision, versions and machine that a result was made with."""
  here = pathlib.Path(__file__).parent
  git = subprocess.run(
    ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"],
    capture_output=True,
    text=True,
    check=False,
  )
  return {
    "revision": git.stdout.strip() or "not a git checkout",
    "versions": {p: importlib.metadata.version(p) for p in _PACKAGES},
    "python": platform.python_version(),
    "platform": platform.platform(),
    "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    "processes": jax.process_count(),
    "cpus": os.cpu_count(),
  }


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
  """`name: theirs -> ours` of each version that differs in two descriptions."""
  return identity.difference(*map(_versions, (ours, theirs)))


def _versions(made: Mapping[str, Any]) -> dict[str, str]:
  return {"python": made["python"], **made["versions"]}
