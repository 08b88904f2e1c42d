"""Agreement between processes: everyone gets one answer, or one error."""

from collections.abc import Callable
import json
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np

from vit_jax.core import errors

# Longer texts are cut, so that all processes exchange arrays of one shape.
_MESSAGE_BYTES = 4096


def share(text: str) -> list[str]:
  """One text of each process, in the same order on every process."""
  if jax.process_count() == 1:
    return [text]
  buffer = np.zeros(_MESSAGE_BYTES, np.uint8)
  data = text.encode()[:_MESSAGE_BYTES]
  buffer[: len(data)] = np.frombuffer(data, np.uint8)
  rows = multihost_utils.process_allgather(buffer)
  return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in rows]


def on_first(f: Callable[[], Any]) -> Any:
  """What `f` returns (short JSON) or raises on process 0, on every process.

  Raises:
    CheckpointError: `f` raised it on process 0.
  """
  if jax.process_count() == 1:
    return f()
  value, message = None, ""
  if jax.process_index() == 0:
    try:
      value = f()
    except errors.CheckpointError as e:
      message = str(e)
  # The value first: only a message may be cut.
  text, _, message = share(f"{json.dumps(value)}\0{message}")[0].partition("\0")
  if message:
    raise errors.CheckpointError(message)
  return json.loads(text)
