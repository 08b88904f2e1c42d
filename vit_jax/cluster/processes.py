"""Agreement between processes: all get the same answer, or the same error.

It goes through JAX's coordination service, so it touches no device, and it
waits no longer than the timeouts of `timeouts.Timeouts`.
"""

from collections.abc import Callable, Mapping
import itertools
import json
import sys
from typing import Any, TypeVar

import jax
import numpy as np

from vit_jax.cluster import lifeline, private
from vit_jax.core import errors

T = TypeVar("T")
_calls = itertools.count(1)
_MAX_SHOWN = 3
_MAX_CHARS = 60


def alone() -> bool:
  """Whether this process is the only one; touches no device."""
  return count() == 1


def count() -> int:
  """How many processes there are; touches no device."""
  return lifeline.place()[1]


def index() -> int:
  """The number of this process; touches no device."""
  return lifeline.place()[0]


def is_first() -> bool:
  """Whether this process is the one that writes and prints."""
  return index() == 0


def meet(name: str, text: str, what: str, timeout_s: int) -> list[str]:
  """The texts of all processes, once all have called this with the name.

  Args:
    name: must not be used twice in a run.
    text: the text of this process.
    what: what the processes wait for, such as "the save of step 40".
    timeout_s: how long the first one waits for the last one.

  Raises:
    PeerError: not all came in time; names those that did not.
  """
  client, folder = private.client(), f"vit_jax/{name}/"
  # JAX refuses an empty value, so a character comes first.
  client.key_value_set(f"{folder}{index():06}", f"={text}")
  try:
    client.wait_at_barrier(folder, 1000 * timeout_s)
  except jax.errors.JaxRuntimeError as e:
    there = {int(key[-6:]) for key, _ in client.key_value_dir_get(folder)}
    late = ", ".join(lifeline.name(i) for i in range(count()) if i not in there)
    if not late:
      raise
    raise errors.PeerError(
      f"{late} did not reach {what} within {timeout_s} s; run the same command"
      " again"
    ) from e
  return [value[1:] for _, value in sorted(client.key_value_dir_get(folder))]


def share(
  text: str, what: str = "the same point", timeout_s: int = 0
) -> list[str]:
  """The texts of all processes, in the same order on every process.

  Args:
    text: the text of this process.
    what: what the processes agree on, for the error.
    timeout_s: 0 is `Timeouts.progress`.

  Raises:
    PeerError: not every process got there in time.
  """
  lifeline.tick()
  if alone():
    return [text]
  call, limit = next(_calls), timeout_s or lifeline.timeouts().progress
  with lifeline.watched():
    texts = meet(str(call), text, what, limit)
    if is_first() and call > 1:
      # All had read these before they came here.
      private.client().key_value_delete(f"vit_jax/{call - 1}/")
  return texts


def on_first(
  f: Callable[[], T], what: str = "the same point", timeout_s: int = 0
) -> T:
  """What `f` returns (JSON) or raises on process 0, on every process.

  Raises:
    UserError: `f` raised it on process 0.
  """
  if alone():
    return f()
  value, problem = _try(f) if is_first() else (None, "")
  texts = share(json.dumps([value, problem]), what, timeout_s)
  value, problem = json.loads(texts[0])
  _raise(problem)
  return value


def together(f: Callable[[], T]) -> T:
  """What `f` returns here, once it has returned on every process.

  Raises:
    UserError: `f` raised it on some process; the first of several.
  """
  if alone():
    return f()
  value, problem = _try(f)
  problems = share(problem)
  for process, text in enumerate(problems):
    kind, _, message = text.partition(":")
    if kind:
      differ = len(set(problems)) > 1
      where = f"{lifeline.name(process)}: " if differ else ""
      _raise(f"{kind}:{where}{message}")
  return value


def say(text: str) -> None:
  """Prints a line for the user, from the first process only."""
  if is_first():
    print(text, file=sys.stderr, flush=True)


def check_same(facts: Callable[[], Mapping[str, Any]], what: str) -> None:
  """Checks that facts are the same on every process.

  Args:
    facts: gives JSON values by name; not called where there is one process.
    what: what the facts describe, such as "code".

  Raises:
    ConfigError: says which processes differ from process 0, and in what.
  """
  if alone():
    return
  everyones = [json.loads(text) for text in share(json.dumps(facts()))]
  first = everyones[0]
  others = [i for i, theirs in enumerate(everyones) if theirs != first]
  if not others:
    return
  theirs, absent = everyones[others[0]], "(absent)"
  differ = [
    f"{key}={_short(theirs.get(key, absent))} there,"
    f" {_short(first.get(key, absent))} here"
    for key in sorted({*first, *theirs})
    if first.get(key, absent) != theirs.get(key, absent)
  ]
  more = len(differ) - _MAX_SHOWN
  raise errors.ConfigError(
    f"another {what} on {', '.join(map(lifeline.name, others))} than on"
    f" {lifeline.name(0)}: {'; '.join(differ[:_MAX_SHOWN])}"
    + (f"; and {more} more" if more > 0 else "")
    + f"; start all with the same {what}"
  )


def _short(value: Any) -> str:
  text = str(value)
  return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}..."


def gather(rows: np.ndarray) -> np.ndarray:
  """The rows of all processes, one after the other."""
  parts = [json.loads(text) for text in share(json.dumps(rows.tolist()))]
  return np.concatenate(parts)


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
