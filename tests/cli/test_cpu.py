"""Memory that a process on the CPU keeps."""

import os
import subprocess
import sys

from vit_jax.core import memory

# Page faults of three buffers of 64 MiB, after a first.
CODE = """
import resource, threading
from vit_jax.cli import cpu

{call}

def use():
  for i in range(4):
    b"x" * 2**26
    if i == 0:
      faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)

faults = []
thread = threading.Thread(target=use)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults[0])
"""
# Three buffers have 49,152 pages.
MANY = 49_000
FEW = 500


def faults(call, **variables):
  done = subprocess.run(
    [sys.executable, "-c", CODE.format(call=call)],
    env={**os.environ, "JAX_PLATFORMS": "cpu", **variables},
    capture_output=True,
    text=True,
    check=True,
  )
  return int(done.stdout)


def test_large_buffers_are_mapped_once():
  assert faults("") > MANY
  assert faults("cpu.keep_memory()") < FEW


def test_the_environment_comes_first():
  own = dict.fromkeys(memory.SETTINGS, "65536")
  assert faults("cpu.keep_memory()", **own) > MANY


def test_only_where_jax_computes_on_the_cpu(tmp_path):
  assert faults("cpu.keep_memory()", JAX_PLATFORMS="tpu,cpu") > MANY
  (tmp_path / "accel0").touch()
  for there, most in (("accel*", False), ("nvidia*", True)):
    look = f"cpu._ACCELERATORS = ({str(tmp_path / there)!r},)"
    found = faults(f"{look}; cpu.keep_memory()", JAX_PLATFORMS="")
    assert (found < FEW) == most
