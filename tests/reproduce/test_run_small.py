"""Small experiments: what they are, killed and started again, their tables."""

import json
import sys

import pytest

from tests.reproduce import stand_in
from vit_jax.core import config as config_lib, errors
from vit_jax.reproduce import (
  design_experiments,
  recipe,
  run_small,
  small_experiment,
)
from vit_jax.sweeps import execute, leaks, state, sweep as sweep_lib
from vit_jax.train.experiment import Experiment

EXTRA = {"runtime.data_dir": "here"}


def runs_of(one):
  sweep = one.sweep(EXTRA)
  return sweep, sweep_lib.runs(sweep, small_experiment.RECIPE)


@pytest.mark.parametrize("one", run_small.ALL, ids=lambda one: one.name)
def test_every_miniature_is_fair(one):
  """Valid runs, three seeds, as many rates, and each run has its arm."""
  sweep, runs = runs_of(one)
  counts = {}
  for run in runs:
    config_lib.build(Experiment, run.config)
    assert run.config.runtime.data_dir == "here"
    if run.stage == "first":
      name = one.arm_of(run.setting).name
      counts[name] = counts.get(name, 0) + 1
  assert list(counts) == [arm.name for arm in one.arms]
  assert len({*counts.values()}) == 1
  if one.tuned:
    assert [s[":seed"] for s in sweep.final] == [0, 1, 2]
    assert len({*one.arms[0].rates}) >= 3
  else:
    assert {*counts.values()} == {3}
  if one.axis == "images":
    sizes = {}
    for arm in one.arms:
      sizes.setdefault(arm.series, set()).add(arm.setting[":images"])
    assert len({*map(frozenset, sizes.values())}) == 1
    assert min(map(len, sizes.values())) >= 4


@pytest.mark.parametrize("one", run_small.ALL, ids=lambda one: one.name)
def test_claims_are_about_arms(one):
  x = one.x()
  scores = {name: [0.5, 0.6, 0.7] for name in x}
  held = {m: scores for m in (*one.metrics, "val/top_1")}
  for claim in one.claims:
    assert claim.metric in one.metrics
    for total in claim.contrasts(x, held):
      assert set(total.weights) <= set(x)
    # All arms are equal, so nothing can be resolved but that they are.
    assert claim.judge(x, held) != "not run"


def test_held_out_images_are_trained_on_by_no_run():
  """In numbers: the images that choose begin where the largest part ends."""
  for data, most in recipe.MOST.items():
    assert recipe.SPLITS[data]["val"] == f"train[{most}:]"
  with pytest.raises(errors.ConfigError, match="images=55001 must be 1 to"):
    recipe.get_config("images=55001")
  with pytest.raises(errors.ConfigError, match="scored=train must be"):
    recipe.get_config("scored=train")
  with pytest.raises(errors.ConfigError, match="did you mean bit"):
    recipe.get_config("model=bits")


def test_compute_is_that_of_the_formula():
  """Three passes over 300 batches of 128 images, two patches of 14 px each way.

  A block of width 64: 4 x 64 x 64 + 2 x 64 x 128 multiply-adds a token, and
  2 x 5 x 64 of attention; 4 patches and a class token.
  """
  flops = small_experiment.training_flops({"model.patch_size": (14, 14)})
  block = 5 * (4 * 64 * 64 + 2 * 64 * 128 + 2 * 5 * 64)
  products = 4 * 14 * 14 * 64 + 4 * block + 64 * 10
  # Norms, softmax and GELU are in it as well.
  least = 3 * 300 * 128 * 2 * products
  assert least < flops < 1.35 * least


@pytest.fixture
def quick(monkeypatch):
  """Runs of the stand-in, and no data set."""

  def command(run, workdir):
    home = state.folder(workdir, run)
    flags = [*run.flags("/"), f"--workdir={home}"]
    return [sys.executable, stand_in.__file__, *flags]

  monkeypatch.setattr(execute, "command", command)
  monkeypatch.setattr(leaks, "check", lambda *_: None)


def run(one, folder, workers=4):
  return run_small.run(
    one,
    str(folder / "runs"),
    str(folder / "out"),
    data_dir="here",
    workers=workers,
    say=lambda _: None,
  )


FILES = ("result.json", "table.md", "runs.csv", "plot.png")


def files(folder):
  return {name: (folder / "out" / name).read_bytes() for name in FILES}


def test_killed_and_started_again_gives_the_same(quick, monkeypatch, tmp_path):
  one = design_experiments.TABLE_7
  result = run(one, tmp_path / "a")
  assert [len(arm.runs) for arm in result.arms] == [3, 3]
  names = sorted(p.name for p in (tmp_path / "a/runs/runs").iterdir())
  assert len(names) == 14
  monkeypatch.setenv("KILLED", names[3])
  monkeypatch.setenv("STOPPED", names[7])
  with pytest.raises(errors.Interrupted):
    run(one, tmp_path / "b", workers=1)
  assert not (tmp_path / "b/out").exists()
  assert run(one, tmp_path / "b") == result
  assert files(tmp_path / "a") == files(tmp_path / "b")
  assert run_small.read(str(tmp_path / "a/out")) == result


def test_what_failed_is_said_and_tried_again(quick, monkeypatch, tmp_path):
  _, runs = runs_of(design_experiments.TABLE_7)
  monkeypatch.setenv("FAILED", runs[0].name)
  with pytest.raises(errors.RunError, match=r"1 runs failed, see .*runs\.csv"):
    run(design_experiments.TABLE_7, tmp_path)
  csv = (tmp_path / "out/runs.csv").read_text()
  assert csv.count("ConfigError: odd") == 1
  assert run(design_experiments.TABLE_7, tmp_path).failed == 0


def test_rates_are_chosen_on_held_out_images(quick, tmp_path):
  one = design_experiments.TABLE_7
  result = run(one, tmp_path)
  sweep, runs = runs_of(one)
  found = state.statuses(sweep, runs, str(tmp_path / "runs"))
  for arm in result.arms:
    first = {
      s.scores["val/top_1"]: r.setting[small_experiment.RATE]
      for r, s in found
      if r.stage == "first" and one.arm_of(r.setting).name == arm.name
    }
    assert arm.rate == first[max(first)]
    final = [r for r, _ in found if r.name in arm.runs]
    assert [set(r.config.evals) for r in final] == [{"test", "digits"}] * 3


def test_every_number_is_that_of_a_run(quick, tmp_path):
  """The table's, from the runs' own files."""
  one = design_experiments.TABLE_7
  run(one, tmp_path)
  text = (tmp_path / "out/table.md").read_text()
  written = json.loads((tmp_path / "out/result.json").read_text())
  assert text.count("| 3 |") == 2
  for arm in written["arms"]:
    for metric, values in arm["scores"].items():
      name, _, score = metric.partition("/")
      from_files = []
      for folder in arm["runs"]:
        rows = (tmp_path / "runs/runs" / folder / "evals.jsonl").read_text()
        row = [json.loads(line) for line in rows.splitlines()]
        from_files += [r[score] for r in row if r["name"] == name]
      assert values == from_files
      mean = sum(values) / 3
      deviation = (sum((v - mean) ** 2 for v in values) / 2) ** 0.5
      assert f"| {mean:.5g} ± {deviation:.2g} |" in text


def test_what_starts_from_another_run(quick, tmp_path):
  result = run(design_experiments.SECTION_4_6, tmp_path)
  assert [arm.name for arm in result.arms if len(arm.runs) == 3] == [
    "scratch",
    "masked patches",
    "supervised",
  ]


def test_nothing_in_miniature():
  with pytest.raises(errors.ConfigError, match="figure=12 has no miniature"):
    run_small.find("figure=12")
