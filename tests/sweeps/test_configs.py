"""The sweeps of configs/sweeps: their sizes, and that nothing leaks."""

import dataclasses

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
  # Two that the others start from.
  ("mini", "", 18),
  ("mini", "model=vit,start=a.npz+scratch,lr=0.03", 6),
]


@pytest.mark.parametrize(("name", "arg", "size"), SIZES)
def test_runs(name, arg, size):
  sweep = lib.load(str(FOLDER / f"{name}.py"), arg)
  assert len(sweep.runs) == size


def test_every_sweep_is_tried():
  names = {path.stem for path in FOLDER.glob("*.py")}
  assert names == {name for name, *_ in SIZES}


def test_the_protocol_trains_on_everything_in_the_end():
  sweep = lib.load(str(FOLDER / "transfer.py"), "dataset=cifar10")
  runs = sweep.runs
  scores = {run.name: -abs(run.setting[":lr"] - 0.003) for run in runs}
  first, final = runs[0].config, sweep.finals(scores)
  assert first.data.train.split == "train[:98%]"
  assert dict(first.evals).keys() == {"val"}
  assert first.evals.val.data.split == "train[98%:]"
  assert [run.config.seed for run in final] == [0, 1, 2]
  for run in final:
    assert run.config.optim.peak_lr == 0.003
    assert run.config.data.train.split == "train"
    assert run.config.evals.test.data.split == "test"


def test_the_small_one_selects_without_test_images(data_dir):
  sweep = lib.load(str(FOLDER / "digits.py"))
  settings = tuple(
    {**s, "runtime.data_dir": str(data_dir)} for s in sweep.settings
  )
  leaks.check(dataclasses.replace(sweep, settings=settings))


def test_the_two_stages_of_the_small_protocol():
  sweep = lib.load(str(FOLDER / "mini.py"))
  runs = sweep.runs
  assert [run.stage for run in runs] == ["start"] * 2 + ["first"] * 16
  for start in runs[:2]:
    assert start.config.data.train.name == "tfds:fashion_mnist"
    assert start.config.evals.digits.train.split == "train"
  tuned = [run for run in runs if run.before]
  assert len(tuned) == 8
  for run in tuned:
    (start,) = run.before.values()
    # Of the same model, at a lower resolution.
    assert start.config.model.name == run.config.model.name
    assert start.config.model.image_size < run.config.model.image_size
    assert run.config.data.train.split == "train[:90%]"
    assert run.config.evals.val.data.split == "train[90%:]"
  final = sweep.finals({run.name: 0.0 for run in runs})
  assert [run.config.seed for run in final] == [0, 1, 2] * 4
  for run in final:
    assert run.config.data.train.split == "train"
    assert dict(run.config.evals).keys() == {"test"}
