"""Several processes, one run: which process of how many this one is."""

import argparse
import os
import sys

from vit_jax.core import errors

_VARIABLES = {
  "coordinator_address": "JAX_COORDINATOR_ADDRESS",
  "num_processes": "JAX_NUM_PROCESSES",
  "process_id": "JAX_PROCESS_ID",
}
# A process that ended alone is not waited for by the others for ever.
_SHUTDOWN_TIMEOUT_S = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the flags; each falls back to its environment variable."""
  group = parser.add_argument_group(
    "several processes",
    "Start the same command once a process. On a TPU VM, GKE, Slurm or Open"
    " MPI nothing has to be said; elsewhere say all three, or set"
    f" {', '.join(_VARIABLES.values())}. --num_processes=1 ignores the cluster"
    " that the process runs in.",
  )
  group.add_argument(
    "--coordinator_address",
    metavar="HOST:PORT",
    help="a free port on the host of process 0",
  )
  group.add_argument("--num_processes", metavar="N", help="how many there are")
  group.add_argument("--process_id", metavar="I", help="this one, 0 to N-1")


def start(args: argparse.Namespace) -> None:
  """Connects to the other processes; does nothing where there are none.

  Raises:
    ConfigError: half of what is needed, or values that cannot be.
  """
  given = {
    name: getattr(args, name) or os.environ.get(variable, "")
    for name, variable in _VARIABLES.items()
  }
  num = _number("num_processes", given["num_processes"])
  if num == 1:
    return
  process = _number("process_id", given["process_id"])
  address = given["coordinator_address"]
  missing = [name for name, text in given.items() if not text]
  if len(missing) < len(given):
    if missing:
      raise errors.ConfigError(
        f"--{missing[0]} is missing: say --coordinator_address,"
        " --num_processes and --process_id together"
      )
    if num < 1 or not 0 <= process < num:
      raise errors.ConfigError(
        f"--process_id={process} must be from 0 to --num_processes={num} less 1"
      )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
      raise errors.ConfigError(
        f"--coordinator_address={address} must be HOST:PORT"
      )
  _connect(*((address, num, process) if address else ()))


def _number(name: str, text: str) -> int:
  try:
    return int(text or -1)
  except ValueError as e:
    raise errors.ConfigError(f"--{name}={text} must be a number") from e


def _connect(*known: object) -> None:
  import jax

  try:
    jax.distributed.initialize(
      *known, shutdown_timeout_seconds=_SHUTDOWN_TIMEOUT_S
    )
  except ValueError:
    # That is how JAX says that it knows of no cluster here.
    if known:
      raise


def stop() -> None:
  """Leaves together with the other processes, if there are any."""
  jax = sys.modules.get("jax")
  if jax and jax.distributed.is_initialized():
    jax.distributed.shutdown()
