"""Settings of memory for JAX on CPUs."""

import glob
import os

from vit_jax.core import memory

# GPUs and TPUs.
_ACCELERATORS = ("/dev/nvidia[0-9]*", "/dev/dxg", "/dev/accel*", "/dev/vfio/?*")


def keep_memory() -> None:
  """Lets the process keep freed memory, if JAX computes on the CPU.

  Call it before JAX is imported; see memory.keep_all.
  """
  platforms = os.environ.get("JAX_PLATFORMS", "")
  has_accelerator = any(map(glob.glob, _ACCELERATORS))
  if platforms != "cpu" and (platforms or has_accelerator):
    return
  memory.keep_all(os.environ)
