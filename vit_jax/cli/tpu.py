"""The TPU library on machines that have no TPU."""

import glob
import os

# TPU VMs up to v4, and later ones.
_DEVICES = ("/dev/accel*", "/dev/vfio/*")
# What the library asks the machine's metadata server for as soon as JAX looks
# for devices. Where nothing answers it prints lines of warnings; any answer
# keeps it quiet, and with no TPU none is used.
_ANSWERS = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_ACCELERATOR_TYPE": "v3-8",
}


def keep_quiet() -> None:
  """Lets JAX look for TPUs silently; call it before JAX is imported.

  It only looks where the library is installed, as the extra `plan` does.
  Platforms are left alone, so that GPUs are found as before.
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
