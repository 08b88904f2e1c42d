"""Checks and settings for GPUs before JAX starts.

None of it has run on a GPU; XLA knows the flags (tests/cli/test_gpu.py).
"""

import argparse
from importlib import metadata
import os
import pathlib

from vit_jax.core import errors

# Files by which JAX finds a GPU: on hardware, in containers, in WSL.
_DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")

# Collectives run at the same time as computation that does not need them
# (docs.jax.dev, GPU performance tips).
FAST = {"--xla_gpu_enable_latency_hiding_scheduler": "true"}
# Excludes every operation that adds in varying order, and autotuning, which
# picks kernels by time (openxla/xla, pull request 12520).
DETERMINISTIC = {"--xla_gpu_deterministic_ops": "true"}
# NCCL's other algorithms may add in another order next time (Megatron Core,
# "Deterministic Training").
NCCL_DETERMINISTIC = {"NCCL_ALGO": "Ring"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds `--deterministic`."""
  parser.add_argument(
    "--deterministic",
    action="store_true",
    help="on GPUs: the same bits in every run, at some cost in speed (on TPUs"
    " and CPUs they are the same anyway)",
  )


def prepare(deterministic: bool) -> str:
  """Sets the environment for GPUs; call it before JAX is imported.

  Variables that the user has set are kept.

  Returns:
    The settings in words; "" if there is no GPU.

  Raises:
    ConfigError: there is a GPU and no JAX for it, or the user's XLA_FLAGS
      contradict `deterministic`.
  """
  gpu = _expected()
  xla = {**(FAST if gpu else {}), **(DETERMINISTIC if deterministic else {})}
  if not xla:
    return ""
  given = os.environ.get("XLA_FLAGS", "").split()
  names = {flag.partition("=")[0]: flag for flag in given}
  for name, value in DETERMINISTIC.items():
    flag = names.get(name, f"{name}={value}")
    if deterministic and flag != f"{name}={value}":
      raise errors.ConfigError(
        f"--deterministic, but XLA_FLAGS says {flag}; drop one of them"
      )
  given += [f"{k}={v}" for k, v in xla.items() if k not in names]
  os.environ["XLA_FLAGS"] = " ".join(given)
  settings = f"XLA_FLAGS={os.environ['XLA_FLAGS']!r}"
  for name, value in (NCCL_DETERMINISTIC if deterministic else {}).items():
    settings += f" {name}={os.environ.setdefault(name, value)}"
  return settings


def _expected() -> bool:
  """Whether JAX will use a GPU, or must use one."""
  platforms = os.environ.get("JAX_PLATFORMS", "")
  asked = {"cuda", "gpu"} & set(platforms.split(","))
  devices = [path for path in _DEVICES if pathlib.Path(path).exists()]
  if (platforms and not asked) or not (asked or devices):
    return False
  plugins = metadata.entry_points(group="jax_plugins")
  if not any("cuda" in plugin.name for plugin in plugins):
    why = devices[0] if devices else f"JAX_PLATFORMS={platforms}"
    raise errors.ConfigError(
      f"there is a GPU ({why}), but JAX has no CUDA plugin: pip install"
      " 'vit_jax[cuda]', or say JAX_PLATFORMS=cpu to train on the CPU"
    )
  # If the platform is named, JAX fails instead of using the CPU.
  os.environ.setdefault("JAX_PLATFORMS", "cuda,cpu")
  return True
