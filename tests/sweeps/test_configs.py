"""The sweeps of configs/sweeps: their sizes, and that nothing leaks."""

import pytest

from tests.e2e import run as command
from vit_jax.sweeps import leaks, sweep as lib

FOLDER = command.ROOT / "configs/sweeps"
# Runs of the sweep, learning rates of the first group.
SIZES = [
  ("digits", "", 4),
  ("transfer", "", 4),
  ("transfer", "dataset=usual", 20),
  ("transfer", "dataset=vtab,model=hybrid,variant=R50+B/16", 19),
  ("transfer", "dataset=cifar10+oxford_iiit_pet,protocol=augreg", 8),
  ("transfer", "dataset=cifar100,model=bit,variant=R50x1,protocol=bit", 3),
  ("augreg", "", 28),
]


@pytest.mark.parametrize(("name", "arg", "size"), SIZES)
def test_runs(name, arg, size):
  sweep, path = lib.load(str(FOLDER / f"{name}.py"), arg)
  assert len(lib.runs(sweep, path)) == size


def test_every_sweep_is_tried():
  names = {path.stem for path in FOLDER.glob("*.py")}
  assert names == {name for name, *_ in SIZES}


def test_the_protocol_trains_on_everything_in_the_end():
  sweep, path = lib.load(str(FOLDER / "transfer.py"), "dataset=cifar10")
  runs = lib.runs(sweep, path)
  scores = {run.name: -abs(run.setting[":lr"] - 0.003) for run in runs}
  first, final = runs[0].config, lib.finals(sweep, runs, scores)
  assert first.data.train.split == "train[:98%]"
  assert dict(first.evals).keys() == {"val"}
  assert first.evals.val.data.split == "train[98%:]"
  assert [run.config.seed for run in final] == [0, 1, 2]
  for run in final:
    assert run.config.optim.peak_lr == 0.003
    assert run.config.data.train.split == "train"
    assert run.config.evals.test.data.split == "test"


def test_the_small_one_selects_without_test_images(data_dir):
  sweep, path = lib.load(str(FOLDER / "digits.py"))
  settings = tuple(
    {**s, "runtime.data_dir": str(data_dir)} for s in sweep.settings
  )
  runs = [lib.make(path, setting) for setting in settings]
  leaks.check(sweep, runs)
