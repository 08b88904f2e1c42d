"""Which runs a sweep has, what selection chooses, and leaks of test data."""

import pytest

from tests.e2e import run as command
from tests.sweeps import digits
from vit_jax.core import errors
from vit_jax.sweeps import grid, leaks, sweep as sweep_lib


def test_a_run_is_its_config():
  sweep = digits.sweep()
  runs = sweep.runs
  assert len({run.name for run in runs}) == 6
  assert runs[1].config.optim.peak_lr == 3e-3
  other = digits.sweep(
    settings=grid.product(sweep.settings, grid.axis("seed", (5,)))
  )
  names = {run.name for run in other.runs}
  assert not names & {run.name for run in runs}


def test_arguments_and_fields():
  run = sweep_lib.make(command.TINY, {":steps": 7, "model.width": 8})
  assert run.config.duration == "7 steps" and run.config.model.width == 8
  assert run.flags("there") == [
    f"--config={command.TINY}:steps=7",
    "--config.model.width=8",
  ]


def test_selection_by_group():
  sweep = digits.sweep()
  runs = sweep.runs
  scores = dict(zip((r.name for r in runs), (1, 3, 2, 5, None, 5), strict=True))
  final = sweep.finals(scores)
  # The second rate of the first group; of equals the first.
  assert [
    (r.setting["data.train.split"], r.setting["optim.peak_lr"],
     r.setting["seed"], r.config.evals.test.data.split, r.stage)
    for r in final
  ] == [
    ("train[:50%]", 3e-3, 0, "test", "final"),
    ("train[:50%]", 3e-3, 1, "test", "final"),
    ("train[:90%]", 1e-3, 0, "test", "final"),
    ("train[:90%]", 1e-3, 1, "test", "final"),
  ]  # fmt: skip
  lowest = digits.sweep(best="min")
  assert lowest.finals(scores)[0].setting["optim.peak_lr"] == 1e-3
  del scores[runs[5].name]
  assert len(sweep.finals(scores)) == 2


def two_stages(**start):
  """Two models to begin with, two rates from each and from nothing."""
  starts = [
    digits.trained(steps, {":steps": steps, **start}) for steps in (20, 40)
  ]
  return digits.sweep(
    settings=grid.product(
      grid.axis("start.checkpoint", (*starts, "")),
      grid.axis("data.train.split", ("train[:90%]",)),
      grid.axis("evals.test.data.split", ("train[90%:]",)),
      grid.axis("optim.peak_lr", digits.RATES[:2]),
    )
  )


def test_runs_that_start_from_others():
  sweep = two_stages()
  runs = sweep.runs
  assert [r.stage for r in runs] == ["start"] * 2 + ["first"] * 6
  early, late = runs[:2]
  assert [r.config.duration for r in runs[:2]] == ["20 steps", "40 steps"]
  assert runs[4].before == {"start.checkpoint": late}
  assert sweep_lib.needed(runs[2]) == [early] and not runs[6].before
  # The checkpoint is the other run, wherever the sweep's folder is.
  place = f"--config.start.checkpoint=there/runs/{late.name}"
  assert place in runs[4].flags("there")
  assert "--config.start.checkpoint=" in runs[6].flags("there")
  assert runs[4].setting != runs[2].setting
  assert "start.checkpoint=after_40" in sweep_lib.setting_text(runs[4].setting)
  assert len({r.name for r in runs}) == 8
  # Another start is another run.
  other = two_stages(seed=1).runs
  assert {r.name for r in other} & {r.name for r in runs} == {
    r.name for r in runs[6:]
  }
  # Selection is by start; those before have no part in it.
  scores = {r.name: i % 2 for i, r in enumerate(runs)}
  final = sweep.finals(scores)
  assert [str(r.setting["start.checkpoint"]) for r in final] == (
    ["after_20"] * 2 + ["after_40"] * 2 + [""] * 2
  )
  assert final[2].before["start.checkpoint"].name == late.name


def test_a_start_may_start_from_another_and_be_new_in_the_end():
  first = digits.trained("first", {"seed": 1})
  second = digits.trained("second", {"seed": 2, "start.checkpoint": first})
  sweep = digits.sweep(
    settings=grid.product(
      grid.axis("start.checkpoint", (second,)), grid.axis("seed", (3, 4))
    ),
    tuned=("seed",),
    final=grid.axis(
      "start.checkpoint", (first, digits.trained("t", {"seed": 7}))
    ),
  )
  runs = sweep.runs
  assert [r.config.seed for r in runs] == [1, 2, 3, 4]
  final = sweep.finals({r.name: r.config.seed for r in runs})
  assert [(r.stage, r.config.seed) for r in final] == [
    ("start", 7),
    ("final", 4),
    ("final", 4),
  ]


BAD = [
  (dict(settings=()), "at least one setting"),
  (dict(tuned=()), "both metric and tuned, or neither"),
  (dict(metric="", tuned=()), "final runs of a sweep need a metric"),
  (dict(metric="top_1"), "metric=top_1 must be EVALUATOR/SCORE"),
  (dict(tuned=("optim.peek_lr",)), "did you mean optim.peak_lr"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_wrong_sweeps(fields, message):
  with pytest.raises(errors.ConfigError, match=message):
    digits.sweep(**fields)


def test_wrong_runs(data_dir):
  same = digits.sweep(settings=grid.axis("optim.peak_lr", (0.1, 0.1)), final=())
  with pytest.raises(
    errors.ConfigError, match="two runs of a sweep are the sa"
  ):
    assert same.runs
  with pytest.raises(errors.ConfigError, match=r"did you mean optim\.peak_lr"):
    sweep_lib.make(command.TINY, {"optim.peek_lr": 0.1})
  where = grid.axis("runtime.data_dir", (str(data_dir),))
  other = digits.sweep(
    settings=grid.product(where, digits.sweep().settings), metric="val/top_1"
  )
  with pytest.raises(errors.ConfigError, match=r"no run has an evaluator val"):
    leaks.check(other)


def test_files_that_are_no_sweep(tmp_path):
  file = tmp_path / "s.py"
  file.write_text("def get_sweep(arg): return 3\n")
  with pytest.raises(errors.ConfigError, match="returned int, not a Sweep"):
    sweep_lib.load(str(file))
  file.write_text("x = 1\n")
  with pytest.raises(errors.ConfigError, match="defines no get_sweep"):
    sweep_lib.load(str(file))
  with pytest.raises(
    errors.ConfigError, match=r"is no file; did you mean .*s\.py"
  ):
    sweep_lib.load(str(tmp_path / "ss.py"))
