"""Starts the command line as a user would, in processes of its own."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
TINY = str(ROOT / "tests/e2e/tiny.py")


def environment(devices: int = 8) -> dict[str, str]:
  return {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(devices),
  }


def start(*args: str, devices: int = 8) -> subprocess.Popen:
  return subprocess.Popen(
    [sys.executable, "-m", "vit_jax", *args],
    cwd=ROOT,
    env=environment(devices),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def run(*args: str, devices: int = 8) -> subprocess.CompletedProcess:
  process = start(*args, devices=devices)
  out, err = process.communicate(timeout=300)
  return subprocess.CompletedProcess(args, process.returncode, out, err)


def rows(path: pathlib.Path) -> list[dict]:
  """Rows of a metrics file without the fields that are times."""
  out = [json.loads(line) for line in path.read_text().splitlines()]
  return [{k: v for k, v in row.items() if "time" not in k} for row in out]
