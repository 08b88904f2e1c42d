"""Errors a user can act on: one line that says what, which rule, what to do.

Anything else that reaches the command line is a bug and keeps its traceback.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
import contextlib
import difflib
import re
import signal
from typing import Any

# Exit codes of commands; docs/launch.md says what launchers do with them.
FAILED, USAGE = 1, 2
# Another process was lost, and another attempt may succeed (EX_TEMPFAIL of
# sysexits.h).
LOST = 75

PATH_ONLY = object()


def signal_code(number: int) -> int:
  """The exit code of a process that a signal has ended, as shells count."""
  return 128 + number


# A run that ends with one of these resumes when it is started again.
RESUMABLE = (
  LOST,
  signal_code(signal.SIGHUP),
  signal_code(signal.SIGINT),
  signal_code(signal.SIGTERM),
)


class UserError(Exception):
  """An error whose message is the whole story; ends a command, exit 1."""

  exit_code = FAILED


class ConfigError(UserError):
  """A configuration or usage that breaks a rule; ends a command, exit 2.

  The message names config fields as `{field}`; each is shown as `path=value`,
  where the path grows as the error travels up from the dataclass that found
  it. So a dataclass can complain about its own fields without knowing where in
  the config it stands.

  Args:
    message: the rule, the arithmetic and the remedy in one line.
    fields: value of each field that the message names, by its own name;
      `PATH_ONLY` for a field to be shown without a value.
  """

  exit_code = USAGE

  def __init__(self, message: str, fields: Mapping[str, Any] | None = None):
    super().__init__(message)
    self._message = message
    self._fields = dict(fields or {})
    self._path = ""

  def under(self, path: str) -> "ConfigError":
    """The same error, found below `path` of a larger config."""
    self._path = f"{path}.{self._path}" if self._path else path
    return self

  def __str__(self) -> str:
    text = self._message
    prefix = f"{self._path}." if self._path else ""
    for name, value in self._fields.items():
      shown = "" if value is PATH_ONLY else f"={value}"
      text = text.replace("{" + name + "}", f"{prefix}{name}{shown}")
    return text


def about(obj: Any, message: str) -> ConfigError:
  """A ConfigError about the fields of `obj` that its message names."""
  names = re.findall(r"\{(\w+)\}", message)
  return ConfigError(message, {name: getattr(obj, name) for name in names})


class DataError(UserError):
  """Input data that is missing, changed or cannot be read."""


class CheckpointError(UserError):
  """A checkpoint that is missing, damaged or belongs to something else."""


class StorageError(UserError):
  """A file that cannot be written: full disk, permissions, lost mount."""


class DeviceError(UserError):
  """Devices that are not here, or memory that is full."""


class BucketError(StorageError, OSError):
  """A bucket that does not answer, or refuses to."""


class NonFiniteError(UserError):
  """The loss or a gradient is no longer a finite number."""


class RunError(UserError):
  """Runs that another command started have failed."""


class PeerError(UserError):
  """Another process of the run ended or cannot be reached.

  Args:
    message: which one, why, and what to do.
    exit_code: that of the other process, or `LOST`: run the same command
      again.
  """

  def __init__(self, message: str, exit_code: int = LOST):
    super().__init__(message)
    self.exit_code = exit_code


class Interrupted(UserError):
  """A signal asked the run to stop; everything is saved."""

  def __init__(self, message: str, signal_number: int):
    super().__init__(message)
    self.exit_code = signal_code(signal_number)


def did_you_mean(word: str, known: Iterable[str]) -> str:
  """ "; did you mean X?" for the closest of `known`, or nothing."""
  close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
  return f"; did you mean {close[0]}?" if close else ""


def nearest(size: int, part: int) -> str:
  """ "nearest: 768 or 780": the positive multiples of `part` around `size`."""
  below = size // part * part
  near = " or ".join(str(n) for n in (below, below + part) if n > 0)
  return f"nearest: {near}"


def division(size: int, part: int) -> str:
  """The arithmetic and the remedy of a failed division."""
  return f"({size} % {part} = {size % part}); {nearest(size, part)}"


def check_one_of(name: str, value: Any, known: Collection[Any]) -> None:
  """Raises a ConfigError about the field `name` if its value is not known."""
  if value not in known:
    words = [str(word) for word in known]
    raise ConfigError(
      f"{{{name}}} is not one of: {', '.join(words)}"
      f"{did_you_mean(str(value), words)}",
      {name: value},
    )


@contextlib.contextmanager
def located(path: str) -> Iterator[None]:
  """Puts `path` before the fields of a ConfigError that is raised inside."""
  try:
    yield
  except ConfigError as e:
    raise e.under(path) from None
