"""runtime.mesh=auto takes what fits, and the run has it on record."""

import json

import pytest

from tests.e2e import run as cli
from vit_jax.cli import auto_mesh, main
from vit_jax.core import config as config_lib, errors

DATA = "synthetic:64x8x8x1x10"
FIELDS = {
  "data.train.name": DATA,
  "evals.test.data.name": DATA,
  "evals.test.data.split": "validation",
  "runtime.mesh": "auto",
}


@pytest.fixture
def config():
  return config_lib.load(cli.TINY, "steps=12", FIELDS)


def test_data_parallel_where_there_is_room(config):
  assert "data=8,fsdp=1,tensor=1" in auto_mesh.resolve(config)
  assert config.runtime.mesh == "data=8,fsdp=1,tensor=1"
  assert auto_mesh.resolve(config) == ""


def test_no_room(config, monkeypatch):
  monkeypatch.setattr(auto_mesh, "_bytes_of_a_device", lambda _: 1000)
  with pytest.raises(errors.ConfigError, match="no mesh of 8 devices fits"):
    auto_mesh.resolve(config)


def test_the_run_says_which(tmp_path, capsys):
  fields = [f"--config.{k}={v}" for k, v in FIELDS.items()]
  fields += [
    "--config.duration=1 steps",
    "--config.optim.schedule.warmup=0 steps",
  ]
  argv = ["train", f"--config={cli.TINY}:steps=12", f"--workdir={tmp_path}"]
  assert main.main([*argv, *fields]) == 0
  chosen = "data=8,fsdp=1,tensor=1"
  assert f"runtime.mesh=auto: {chosen}" in capsys.readouterr().err
  saved = json.loads((tmp_path / "config.json").read_text())
  assert saved["runtime"]["mesh"] == chosen
