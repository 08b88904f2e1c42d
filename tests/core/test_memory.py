"""Memory that a process keeps: small faults show that pages are used again."""

import os
import subprocess
import sys

import pytest

from vit_jax.core import errors, memory

# Page faults of 20 blocks of 16 MiB, after a first.
CODE = """
import resource
from vit_jax.core import memory

{call}

def use():
  b"x" * 2**24

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
  use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 20 * 2**24 // 4096


def faults(call):
  done = subprocess.run(
    [sys.executable, "-c", CODE.format(call=call)],
    env={k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")},
    capture_output=True,
    text=True,
    check=True,
  )
  return int(done.stdout)


@pytest.mark.parametrize(
  "call",
  [
    "memory.keep_blocks()",
    "memory.keep_all()",
    # What was set first stays.
    "memory.keep_all(); memory.keep_blocks()",
  ],
)
def test_blocks_are_used_again(call):
  assert faults(call) < PAGES / 100


def test_without_it_the_first_large_block_is_given_back():
  assert faults("") > PAGES / 50


def test_the_environment_takes_precedence():
  call = "memory.keep_all(dict.fromkeys(memory.SETTINGS, ''))"
  assert faults(call) == pytest.approx(faults(""), rel=0.1)


def test_other_errors_of_jax_are_left_alone():
  with pytest.raises(RuntimeError, match="broke"), memory.fits("nothing"):
    raise RuntimeError("INTERNAL: the compiler broke")
  full = "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nAnd more. [x]"
  with (
    pytest.raises(errors.DeviceError) as e,
    memory.fits("use less"),
  ):
    raise RuntimeError(full)
  assert str(e.value) == (
    "the memory of a device is full (Out of memory allocating 9 bytes): use"
    " less"
  )
