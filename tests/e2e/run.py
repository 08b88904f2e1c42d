"""Starts the command line as a user would, in processes of its own."""

from collections.abc import Iterable
from concurrent import futures
import json
import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
TINY = str(ROOT / "tests/e2e/tiny.py")


def environment(devices: int = 8) -> dict[str, str]:
  return {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(devices),
    # Most of a tiny run is compilation; this takes a third of its time away.
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
    "PYTHONPATH": str(ROOT),
  }


def popen(command: list[str], devices: int) -> subprocess.Popen:
  return subprocess.Popen(
    command,
    cwd=ROOT,
    env=environment(devices),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def start(*args: str, devices: int = 8) -> subprocess.Popen:
  return popen([sys.executable, "-m", "vit_jax", *args], devices)


def run(*args: str, devices: int = 8) -> subprocess.CompletedProcess:
  return wait([start(*args, devices=devices)])[0]


def wait(
  processes: Iterable[subprocess.Popen],
) -> list[subprocess.CompletedProcess]:
  """The ends of processes that run at the same time."""
  started = list(processes)
  try:
    # One thread each, so that none is blocked by a full pipe.
    with futures.ThreadPoolExecutor(len(started)) as pool:
      texts = list(pool.map(lambda p: p.communicate(timeout=300), started))
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
