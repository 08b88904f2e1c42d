"""The whole plan: one small step compiled for a v3, and none without it."""

import json

import pytest

from tests.e2e import run as cli
from tests.plan import small
from vit_jax.cli.main import main
from vit_jax.plan import topology as topology_lib


def plan(capsys, *argv):
  fields = {**small.OVERRIDES, "runtime.remat": "dots"}
  overrides = [f"--config.{k}={v}" for k, v in fields.items()]
  config = f"--config={cli.TINY}:dropout=0.0"
  code = main(["plan", config, *overrides, *argv])
  out, err = capsys.readouterr()
  assert code == 0, err
  return out


def test_a_small_step_compiled(capsys):
  found = json.loads(
    plan(
      capsys,
      "--topology=v3:2x2",
      "--config.runtime.mesh=fsdp=2",
      "--format=json",
    )
  )
  compiled, needs = found["compiled"], found["needs"]
  assert found["fits"]
  assert found["devices"] == 8
  kinds = ("parameters", "optimizer", "other", "batch")
  arguments = sum(needs[f"{kind}_bytes"] for kind in kinds)
  assert arguments == pytest.approx(compiled["arguments_bytes"], rel=0.02)
  ours = arguments + needs["activations_bytes"]
  assert ours == pytest.approx(compiled["peak_bytes"], rel=0.1)
  # The layers of the loop are collected one by one, forwards and backwards.
  assert compiled["collectives"]["all-gather"]["count"] >= 2 * 6
  assert compiled["collectives"]["all-reduce"]["sent_bytes"] > 0
  assert found["steps"] == 60
  assert found["step_s"] == max(found["limits_s"].values())
  assert found["images_per_s"] == pytest.approx(4096 / found["step_s"])


def test_closed_forms_without_the_compiler(capsys, monkeypatch):
  monkeypatch.setattr(topology_lib, "compiler_available", lambda: False)
  out = plan(capsys, "--topology=v3:2x2,v5e:2x2")
  assert out.count("closed forms only: the TPU compiler is not installed") == 2
  lines = [line for line in out.splitlines() if not line.startswith(" ")]
  assert lines == ["v3:2x2: fits", "v5e:2x2: fits"]
  assert "core-days" in out


def test_auto_mesh_and_what_is_unknown(capsys, monkeypatch):
  monkeypatch.setattr(topology_lib, "compiler_available", lambda: False)
  out = plan(
    capsys,
    "--topology=v3:2x2",
    "--config.runtime.mesh=auto",
    "--config.duration=3 epochs",
    "--config.data.train.name=multilabel:nowhere.csv",
  )
  assert "mesh=data=8,fsdp=1,tensor=1" in out
  assert "core-days unknown" in out


@pytest.mark.parametrize(
  ("argv", "message"),
  [
    (["--topology=v9:2x2"], "nothing is known of chips of kind v9"),
    (["--topology=v3:2x2", "--examples=-1"], "--examples=-1 must be >= 0"),
    (["--topology=v3:2x2", "--config.seed=-1"], "seed=-1"),
    (
      ["--topology=v3:2x2", "--config.data.batch_size=30"],
      "not divisible by 8",
    ),
  ],
)
def test_one_line_for_what_is_wrong(capsys, argv, message):
  code = main(["plan", f"--config={cli.TINY}:dropout=0.0", *argv])
  _, err = capsys.readouterr()
  assert code == 2
  assert message in err
  assert len(err.splitlines()) == 1
