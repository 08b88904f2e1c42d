"""The TPU library says nothing on a machine that has no TPU."""

import os
import subprocess
import sys

from tests.e2e import run as cli

LOOK = """
from vit_jax.cli import main
main.main(["no such command"])
import jax
print(jax.devices())
"""


def test_looking_for_devices_is_silent():
  drop = ("JAX_PLATFORMS", "TPU_", "ALLOW_MULTIPLE")
  env = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
  done = subprocess.run(
    [sys.executable, "-c", LOOK],
    cwd=cli.ROOT,
    env=env,
    capture_output=True,
    text=True,
    check=True,
  )
  assert len(done.stderr.splitlines()) == 1, done.stderr
  assert "no such command" in done.stderr
