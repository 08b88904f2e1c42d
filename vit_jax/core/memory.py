"""Memory that the C library keeps, and memory that is full.

glibc returns large blocks to the system at once, which must map and clear
their pages again for the next block of the same size. Other C libraries are
left alone.
"""

from collections.abc import Container, Iterator
import contextlib
import ctypes
import re

from vit_jax.core import errors

# The variables of the environment that set the same as `mallopt` does with the
# numbers of glibc's <malloc.h>.
SETTINGS = {
  "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
  "MALLOC_MMAP_MAX_": (-4, 0),
  # Threads' own arenas cannot hold large blocks.
  "MALLOC_ARENA_MAX": (-8, 1),
}


def keep_all(environment: Container[str] = ()) -> None:
  """Keeps everything that is freed, in one arena.

  For a process that computes on the CPU: the buffers of a step are freed at
  its end, and to map them anew takes a fifth of the time of a small hybrid.
  Call it before JAX is imported, whose threads choose their arenas.

  Args:
    environment: variables that are set; those of glibc take precedence.
  """
  libc = ctypes.CDLL(None)
  if not hasattr(libc, "mallopt"):
    return
  for name, (number, value) in SETTINGS.items():
    if name not in environment:
      libc.mallopt(number, value)


def keep_blocks() -> None:
  """Keeps freed blocks of up to 32 MB.

  For a process that decodes images, where mapping them anew takes a fifth of
  the time. The largest block ever freed is what glibc considers worth keeping,
  up to 32 MB; what `keep_all` has set stays.
  """
  bytearray(2**25 - 2**16)


def exhausted(error: Exception) -> str:
  """What JAX says of a device whose memory is full; "" of other errors."""
  text = " ".join(str(error).split())
  _, code, reason = text.partition("RESOURCE_EXHAUSTED: ")
  return re.split(r"\.(?:\s|$)", reason)[0] if code else ""


def full(reason: str, remedy: str) -> errors.DeviceError:
  """The error that says that a device's memory is full, and what to change."""
  return errors.DeviceError(
    f"the memory of a device is full ({reason}): {remedy}"
  )


@contextlib.contextmanager
def fits(remedy: str) -> Iterator[None]:
  """Turns JAX's error about a device's full memory into one line.

  Raises:
    DeviceError: it is full; the message ends with `remedy`.
  """
  try:
    yield
  except RuntimeError as e:
    reason = exhausted(e)
    if not reason:
      raise
    raise full(reason, remedy) from e
