"""The TPU library says nothing on a machine that has no TPU."""

import os
import subprocess
import sys
import tomllib

from tests.e2e import run as cli

LOOK = """
from vit_jax.cli import main
main.main(["no such command"])
import jax
print(jax.devices())
"""


def look(code, *folders):
  """Runs code in which JAX looks for devices of every kind."""
  drop = ("JAX_PLATFORMS", "TPU_", "ALLOW_MULTIPLE")
  env = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
  return subprocess.run(
    [sys.executable, "-c", code],
    cwd=cli.ROOT,
    env={**env, "PYTHONPATH": os.pathsep.join(map(str, folders))},
    capture_output=True,
    text=True,
    check=True,
  )


def test_looking_for_devices_is_silent():
  done = look(LOOK)
  assert len(done.stderr.splitlines()) == 1, done.stderr
  assert "no such command" in done.stderr


def test_a_plain_import_of_jax_is_silent_where_this_package_is(tmp_path):
  """What an installation of pyproject.toml adds, without installing it."""
  project = tomllib.loads((cli.ROOT / "pyproject.toml").read_text())["project"]
  (group,) = project["entry-points"].items()
  lines = [f"[{group[0]}]", *(f"{k} = {v}" for k, v in group[1].items())]
  info = tmp_path / "installed-1.0.dist-info"
  info.mkdir()
  (info / "METADATA").write_text("Name: installed\nVersion: 1.0\n")
  (info / "entry_points.txt").write_text("\n".join(lines))
  done = look("import jax; print(jax.devices())", tmp_path, cli.ROOT)
  assert "CpuDevice" in done.stdout
  assert done.stderr == ""
