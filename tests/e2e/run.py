"""Starts the command line as a user would, in processes of its own."""

import atexit
from collections.abc import Iterable, Mapping
from concurrent import futures
import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Any

import jax
import numpy as np

from vit_jax.checkpoints import run_checkpoints

ROOT = pathlib.Path(__file__).parents[2]
TINY = str(ROOT / "tests/e2e/tiny.py")


@functools.cache
def _cache() -> str:
  """A folder of compiled programs that lives as long as this process."""
  folder = tempfile.mkdtemp(prefix="vit_jax_compiled_")
  atexit.register(shutil.rmtree, folder)
  return folder


def environment(devices: int = 8) -> dict[str, str]:
  flags = os.environ.get("XLA_FLAGS", "")
  return {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(devices),
    # Most of a tiny run is compilation; this takes a third of its time away,
    # beside what tests/conftest.py sets.
    "XLA_FLAGS": f"{flags} --xla_backend_optimization_level=0",
    # And this what is left of it, in every process but a run's first.
    "JAX_COMPILATION_CACHE_DIR": _cache(),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }


def popen(
  command: list[str],
  devices: int,
  folder: pathlib.Path = ROOT,
  variables: Mapping[str, str] | None = None,
) -> subprocess.Popen:
  """Starts a command; `folder` is where its vit_jax is."""
  code = {"PYTHONPATH": str(folder)}
  return subprocess.Popen(
    command,
    cwd=folder,
    env={**environment(devices), **code, **(variables or {})},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def start(*args: str, devices: int = 8, **more: Any) -> subprocess.Popen:
  return popen([sys.executable, "-m", "vit_jax", *args], devices, **more)


def run(*args: str, devices: int = 8) -> subprocess.CompletedProcess:
  return wait([start(*args, devices=devices)])[0]


def pasted(text: str) -> list[str]:
  """The arguments that a shell gives to the program of a command."""
  program = text.split()[0]
  script = f"{program}() {{ printf '%s\\0' \"$@\"; }}\n{text}\n"
  done = subprocess.run(
    ["sh", "-euc", script], capture_output=True, text=True, check=True
  )
  return done.stdout.split("\0")[:-1]


def wait(
  processes: Iterable[subprocess.Popen], timeout_s: float = 300
) -> list[subprocess.CompletedProcess]:
  """The ends of processes that run at the same time."""
  started = list(processes)
  try:
    # One thread each, so that none is blocked by a full pipe.
    with futures.ThreadPoolExecutor(len(started)) as pool:
      texts = list(
        pool.map(lambda p: p.communicate(timeout=timeout_s), started)
      )
  finally:
    for process in started:
      process.kill()
  return [
    subprocess.CompletedProcess(process.args, process.returncode, *text)
    for process, text in zip(started, texts, strict=True)
  ]


def free_address() -> str:
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    return f"127.0.0.1:{s.getsockname()[1]}"


def rows(path: pathlib.Path) -> list[dict]:
  """Rows of a metrics file without the fields that are times."""
  out = [json.loads(line) for line in path.read_text().splitlines()]
  return [{k: v for k, v in row.items() if "time" not in k} for row in out]


def during_save(workdir):
  """Orbax has begun to write, but the manifest is not there yet."""
  folder = workdir / "checkpoints"
  steps = folder.iterdir() if folder.exists() else ()
  return any(
    step.name != "damaged" and not (step / "manifest.json").exists()
    for step in steps
  )


def arrays(workdir):
  """Every array of the newest checkpoint, read as it was written."""
  path = run_checkpoints.open_step(workdir / "checkpoints")
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  target = {
    name: jax.ShapeDtypeStruct(shape, dtype, sharding=place)
    for name, (dtype, shape) in run_checkpoints.read_arrays(path).items()
  }
  state, _ = run_checkpoints.restore_step(path, target)
  return {name: np.asarray(value) for name, value in state.items()}
