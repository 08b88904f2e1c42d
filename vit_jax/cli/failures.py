"""Tells what the machine refuses from what is a bug."""

import errno
import os
import sys

from vit_jax.core import errors, memory
from vit_jax.data import paths

# What `explained` may know something about.
KINDS = (OSError, UnicodeError, MemoryError, RuntimeError, AssertionError)
# A system call that was made wrongly, if no file is named.
_BUGS = (errno.EBADF, errno.EINVAL, errno.EFAULT, errno.ENOTTY, errno.ENOTSOCK)


def explained(error: Exception) -> errors.UserError | None:
  """The line for the user, or None for a bug, which keeps its traceback."""
  match error:
    case OSError():
      return _refused(error)
    case UnicodeDecodeError() | UnicodeEncodeError():
      near = error.object[max(error.start - 20, 0) : error.end + 20]
      return errors.DataError(
        f"this is not text in {error.encoding}: {near!r}; convert it, or rename"
        " the file"
      )
    case MemoryError():
      return errors.DeviceError(
        f"this machine has no memory left ({error or 'no more is known'}); use"
        " smaller batches or images, or fewer workers"
      )
  if _is_backend(error):
    return _no_backend(error)
  reason = memory.exhausted(error)
  return memory.full(reason, "use smaller batches") if reason else None


def _refused(error: OSError) -> errors.UserError | None:
  if error.filename is not None:
    name = error.filename
    shown = paths.printable(name) if isinstance(name, str | bytes) else name
    return errors.StorageError(
      f"{shown}: {error.strerror}; see that it is there, has space, and may be"
      " read and written"
    )
  if error.errno is None or error.errno in _BUGS:
    return None
  return errors.StorageError(f"{error.strerror}; repair it, then run again")


def _is_backend(error: Exception) -> bool:
  """Whether JAX raised it because it cannot use the devices.

  It has no class of its own for that: for some platforms it is a RuntimeError,
  for others an assertion without words. So it is asked for them again.
  """
  jax = sys.modules.get("jax")
  try:
    return jax is not None and not jax.devices()
  except (RuntimeError, AssertionError) as e:
    return (type(e), str(e)) == (type(error), str(error))


def _no_backend(error: Exception) -> errors.DeviceError:
  platforms = os.environ.get("JAX_PLATFORMS", "")
  prefix = f"JAX_PLATFORMS={platforms}: " if platforms else ""
  reason = str(error).partition(" (set JAX_PLATFORMS")[0] or "it has no plugin"
  return errors.DeviceError(
    f"{prefix}JAX cannot use such devices here ({reason}); install"
    " 'vit_jax[cuda]' for GPUs or 'vit_jax[tpu]' for TPUs, or say"
    " JAX_PLATFORMS=cpu to use the CPU"
  )
