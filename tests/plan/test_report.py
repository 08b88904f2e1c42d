"""The whole plan: one small step compiled for a v3, and none without it."""

import dataclasses
import json

import pytest

from tests.e2e import run as cli
from tests.plan import small
from vit_jax.cli.main import main
from vit_jax.plan import (
  chips,
  compile as compile_lib,
  search,
  topology as topology_lib,
)


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


def with_memory(monkeypatch, hbm_bytes):
  monkeypatch.setattr(topology_lib, "compiler_available", lambda: False)
  chip = dataclasses.replace(chips.CHIPS["v3"], hbm_bytes=hbm_bytes)
  monkeypatch.setitem(chips.CHIPS, "v3", chip)


def test_the_nearest_plan_that_fits_is_shown(capsys, monkeypatch):
  needs = small.needs(small.estimator(), remat="dots")
  with_memory(monkeypatch, int(0.7 * needs.peak_bytes * search.MARGIN))
  out = plan(capsys, "--topology=v3:2x2")
  first, nearest = out.split("  the nearest plan that fits:\n")
  assert first.startswith("v3:2x2: does not fit\n")
  assert "remat=dots microbatches=1" in first
  assert nearest.startswith("  v3:2x2: fits\n")
  found = json.loads(plan(capsys, "--topology=v3:2x2", "--format=json"))
  assert not found["fits"] and found["fit"]["fits"]
  assert found["fit"]["runtime"] != found["runtime"]


def test_nothing_that_fits(capsys, monkeypatch):
  with_memory(monkeypatch, 1000)
  out = plan(capsys, "--topology=v3:2x2")
  assert "no values of mesh, remat and microbatches were found" in out
  assert "the nearest" not in out


def test_what_the_compiler_says_as_text(capsys, monkeypatch):
  """Of a step that fits, and of one that does not, neither compiled here."""
  compiled = compile_lib.Compiled(
    peak_bytes=3 * 2**20,
    code_bytes=2**20,
    compile_s=7.2,
    optimal_s=0.0125,
    collectives={"all-reduce": compile_lib.Collective(12, 2**21, 2**22)},
  )
  monkeypatch.setattr(compile_lib, "compile_step", lambda *_: compiled)
  monkeypatch.setattr(topology_lib, "compiler_available", lambda: True)
  out = plan(capsys, "--topology=v3:2x2")
  assert "compiler, in 7 s:" in out and "12.50 ms, bodies of loops" in out
  assert "all-reduce         12 per step, results of 2 MiB, 4 MiB sent" in out
  compiled = compile_lib.Compiled(problem="Ran out of memory")
  out = plan(capsys, "--topology=v3:2x2")
  assert "v3:2x2: does not fit" in out
  assert "    compiler: Ran out of memory\n" in out


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
