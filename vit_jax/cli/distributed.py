"""Several processes in one run: the flags that say which process this is."""

import argparse
import dataclasses
import os
import sys
from types import TracebackType
from typing import Any

from vit_jax.cluster import private
from vit_jax.cluster.timeouts import Timeouts
from vit_jax.core import errors

_VARIABLES = {
  "coordinator_address": "JAX_COORDINATOR_ADDRESS",
  "num_processes": "JAX_NUM_PROCESSES",
  "process_id": "JAX_PROCESS_ID",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the flags; the default of each is its environment variable."""
  group = parser.add_argument_group(
    "several processes",
    "Start the same command once for each process. On a TPU VM, GKE, Slurm or"
    " Open MPI no flags are needed; elsewhere give the first three, or set"
    f" {', '.join(_VARIABLES.values())}. --num_processes=1 ignores the cluster"
    " that the process runs in.",
  )
  group.add_argument(
    "--coordinator_address",
    metavar="HOST:PORT",
    help="a free port on the host of process 0",
  )
  group.add_argument("--num_processes", metavar="N", help="number of processes")
  group.add_argument("--process_id", metavar="I", help="this process, 0 to N-1")
  for field in dataclasses.fields(Timeouts):
    group.add_argument(
      f"--{field.name}_timeout",
      metavar="S",
      default=str(field.default),
      help=f"seconds (default: {field.default}); see README",
    )


def start(args: argparse.Namespace) -> None:
  """Connects to the other processes; does nothing if there are none.

  Raises:
    ConfigError: flags are missing, or have impossible values.
    PeerError: another process did not connect.
  """
  given = {
    name: getattr(args, name) or os.environ.get(variable, "")
    for name, variable in _VARIABLES.items()
  }
  timeouts = Timeouts(
    **{
      field.name: _number(
        f"{field.name}_timeout", getattr(args, f"{field.name}_timeout"), 1
      )
      for field in dataclasses.fields(Timeouts)
    }
  )
  num = _number("num_processes", given["num_processes"] or "-1")
  if num == 1:
    return
  process = _number("process_id", given["process_id"] or "-1")
  address = given["coordinator_address"]
  missing = [name for name, text in given.items() if not text]
  if len(missing) == len(given):
    _join_cluster(timeouts)
    return
  if missing:
    raise errors.ConfigError(
      f"--{missing[0]} is missing: give --coordinator_address,"
      " --num_processes and --process_id together"
    )
  if num < 1 or not 0 <= process < num:
    raise errors.ConfigError(
      f"--process_id={process} must be >= 0 and below --num_processes={num}"
    )
  host, _, port = address.rpartition(":")
  if not host or not port.isdigit():
    raise errors.ConfigError(
      f"--coordinator_address={address} must be HOST:PORT"
    )
  _connect(address, num, process, timeouts)


def _number(name: str, text: str, least: int = -1) -> int:
  try:
    number = int(text)
  except ValueError as e:
    raise errors.ConfigError(f"--{name}={text} must be a number") from e
  if number < least:
    raise errors.ConfigError(f"--{name}={text} must be at least {least}")
  return number


def _join_cluster(timeouts: Timeouts) -> None:
  """Connects to the cluster that JAX recognises, if it does."""
  address, num, process, devices = private.find_cluster(timeouts.initialization)
  if address is not None and num is not None and num > 1:
    _connect(address, num, process, timeouts, devices)


def _connect(*known: Any) -> None:
  from vit_jax.cluster import lifeline

  lifeline.connect(*known)
  # Runs before the interpreter exits, when JAX would wait for the others.
  sys.excepthook = _unexpected


def _unexpected(
  kind: type[BaseException],
  error: BaseException,
  trace: TracebackType | None,
) -> None:
  """Ends all processes after a bug, with the traceback in this one."""
  sys.__excepthook__(kind, error, trace)
  stop(errors.FAILED, f"{kind.__name__}: {error}")
  os._exit(errors.FAILED)


def stop(code: int = 0, text: str = "") -> None:
  """Leaves the other processes, if there are any; see `lifeline.leave`."""
  lifeline = sys.modules.get("vit_jax.cluster.lifeline")
  if lifeline:
    lifeline.leave(code, text)
