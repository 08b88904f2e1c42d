"""What `train` checks and sets for GPUs, on a machine that has none."""

from importlib import metadata
import os
import subprocess
import sys

import pytest

from tests.e2e import run as cli
from vit_jax.cli import gpu, main
from vit_jax.core import errors

FAST = "--xla_gpu_enable_latency_hiding_scheduler=true"
SAME = "--xla_gpu_deterministic_ops=true"


@pytest.fixture
def machine(monkeypatch, tmp_path):
  """Makes the machine look as if it had a GPU, JAX's plugin for it, or both."""

  def look(*, device, plugin, **environment):
    path = tmp_path / "nvidia0"
    if device:
      path.touch()
    monkeypatch.setattr(gpu, "_DEVICES", (str(path),))
    found = [metadata.EntryPoint("xla_cuda12", "x", "jax_plugins")]
    monkeypatch.setattr(
      metadata, "entry_points", lambda group: found if plugin else []
    )
    # A copy: what is set belongs to this test.
    monkeypatch.setattr(os, "environ", environment)
    return environment

  return look


@pytest.mark.parametrize("platforms", ["", "cuda", "cuda,cpu"])
def test_a_gpu_without_the_plugin_is_an_error(machine, platforms):
  machine(device=True, plugin=False, JAX_PLATFORMS=platforms)
  with pytest.raises(errors.ConfigError, match=r"nvidia0\).*vit_jax\[cuda\]"):
    gpu.prepare(False)


def test_cuda_that_is_asked_for_without_plugin_is_an_error(machine):
  machine(device=False, plugin=False, JAX_PLATFORMS="cuda")
  with pytest.raises(errors.ConfigError, match=r"JAX_PLATFORMS=cuda\)"):
    gpu.prepare(False)


def test_train_ends_with_that_line(machine, capsys):
  machine(device=True, plugin=False)
  assert main.main(["train", "--config=x.py", "--workdir=x"]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.endswith("or say JAX_PLATFORMS=cpu to train on the CPU")


@pytest.mark.parametrize(
  ("device", "platforms"), [(False, ""), (True, "cpu"), (False, "tpu,cpu")]
)
def test_nothing_is_set_where_no_gpu_is_used(machine, device, platforms):
  environment = machine(device=device, plugin=False, JAX_PLATFORMS=platforms)
  assert gpu.prepare(False) == ""
  assert environment == {"JAX_PLATFORMS": platforms}


def test_a_gpu_is_used_or_jax_fails(machine):
  environment = machine(device=True, plugin=True)
  assert gpu.prepare(False) == f"XLA_FLAGS='{FAST}'"
  assert environment == {"JAX_PLATFORMS": "cuda,cpu", "XLA_FLAGS": FAST}


def test_deterministic(machine):
  environment = machine(device=True, plugin=True, XLA_FLAGS="--xla_a=1")
  assert "NCCL_ALGO=Ring" in gpu.prepare(True)
  assert environment["XLA_FLAGS"] == f"--xla_a=1 {FAST} {SAME}"
  assert environment["NCCL_ALGO"] == "Ring"


def test_what_the_user_sets_stays(machine):
  fast = FAST.replace("true", "false")
  environment = machine(
    device=True, plugin=True, XLA_FLAGS=fast, NCCL_ALGO="^NVLS"
  )
  gpu.prepare(True)
  assert environment["XLA_FLAGS"] == f"{fast} {SAME}"
  assert environment["NCCL_ALGO"] == "^NVLS"


def test_a_contradiction_is_an_error(machine):
  flags = SAME.replace("true", "false")
  machine(device=False, plugin=False, XLA_FLAGS=flags)
  with pytest.raises(errors.ConfigError, match="drop one of them"):
    gpu.prepare(True)


def start_jax(*flags):
  """Sets them all, compiles something, and tells what XLA was told."""
  script = (
    "from vit_jax.cli import gpu\n"
    "gpu.FAST |= dict(f.split('=') for f in sys.argv[1:])\n"
    "gpu._expected = lambda: True\n"
    "gpu.prepare(True)\n"
    "import jax\n"
    "jax.jit(lambda x: x + 1)(1).block_until_ready()\n"
  )
  return subprocess.run(
    [sys.executable, "-c", "import sys\n" + script, *flags],
    cwd=cli.ROOT,
    env={**cli.environment(1), "XLA_FLAGS": ""},
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_flags_reach_xla(tmp_path):
  done = start_jax(f"--xla_dump_to={tmp_path}")
  assert done.returncode == 0, done.stderr
  (options, *_) = tmp_path.glob("*.debug_options")
  for name, value in {**gpu.FAST, **gpu.DETERMINISTIC}.items():
    assert f"{name.removeprefix('--')}: {value}\n" in options.read_text()


def test_xla_refuses_a_flag_that_it_does_not_know():
  done = start_jax("--xla_gpu_no_such_flag=true")
  assert done.returncode != 0
  assert "Unknown flag" in done.stderr
