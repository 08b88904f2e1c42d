"""The TPU library on machines that have no TPU."""

import glob
import os

# TPU VMs up to v4, and later ones.
_DEVICES = ("/dev/accel*", "/dev/vfio/*")
# Variables that the library would ask the machine's metadata server for when
# JAX looks for devices. Without an answer it prints warnings; any value
# prevents them, and without a TPU none is used.
_ANSWERS = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_ACCELERATOR_TYPE": "v3-8",
}


def initialize() -> None:
  """Lets JAX look for TPUs silently; call it before JAX is imported.

  JAX looks for TPUs only if the library is installed, as by the extra `plan`.
  Platforms are left alone, so that GPUs are found as before. As the entry point
  of a plugin (pyproject.toml), JAX calls it in every program, before it loads
  the library.
  """
  if not any(glob.glob(pattern) for pattern in _DEVICES):
    _answer()


def compile_only() -> None:
  """Uses the library as a compiler and the CPU for all that is run."""
  os.environ["JAX_PLATFORMS"] = "cpu"
  # Else a second process aborts on the lock of the devices.
  os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
  _answer()


def _answer() -> None:
  for name, value in _ANSWERS.items():
    os.environ.setdefault(name, value)
