"""Agreement between processes: everyone gets one answer, or one error."""

from collections.abc import Callable
import json
from typing import Any, TypeVar

import jax
from jax.experimental import multihost_utils
import numpy as np

from vit_jax.core import errors

T = TypeVar("T")


def alone() -> bool:
  """Whether this process is the only one; touches no device."""
  # Several processes know of each other through jax.distributed only.
  return not jax.distributed.is_initialized() or jax.process_count() == 1


def is_first() -> bool:
  """Whether this process is the one that writes and prints."""
  return alone() or jax.process_index() == 0


def share(text: str) -> list[str]:
  """One text of each process, in the same order on every process."""
  if alone():
    return [text]
  data = np.frombuffer(text.encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.int32(data.size))
  # All processes exchange arrays of one shape.
  padded = np.pad(data, (0, sizes.max() - data.size))
  rows = multihost_utils.process_allgather(padded)
  return [
    bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)
  ]


def on_first(f: Callable[[], T]) -> T:
  """What `f` returns (JSON) or raises on process 0, on every process.

  Raises:
    UserError: `f` raised it on process 0.
  """
  if alone():
    return f()
  value, problem = _try(f) if is_first() else (None, "")
  value, problem = json.loads(share(json.dumps([value, problem]))[0])
  _raise(problem)
  return value


def together(f: Callable[[], T]) -> T:
  """What `f` returns here, once it has returned on every process.

  Raises:
    UserError: `f` raised it on some process; the first one's.
  """
  if alone():
    return f()
  value, problem = _try(f)
  for process, text in enumerate(share(problem)):
    kind, _, message = text.partition(":")
    if kind:
      _raise(f"{kind}:process {process}: {message}")
  return value


def gather(rows: np.ndarray) -> np.ndarray:
  """The rows of all processes, one after the other."""
  return multihost_utils.process_allgather(rows, tiled=True)


def _try(f: Callable[[], T]) -> tuple[Any, str]:
  """What `f` returns, or "Class:message" of the error it raises."""
  try:
    return f(), ""
  except errors.UserError as e:
    return None, f"{type(e).__name__}:{e}"


def _raise(problem: str) -> None:
  kind, _, message = problem.partition(":")
  if kind:
    raise getattr(errors, kind)(message)
