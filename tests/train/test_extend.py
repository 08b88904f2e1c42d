"""A run that goes on where another one ended, for longer."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

from tests.e2e import run as cli
from vit_jax.analysis import report, run_files
from vit_jax.checkpoints import run_checkpoints
from vit_jax.core import config as config_lib, errors
from vit_jax.train import loop


def load(data_dir, steps, **overrides):
  overrides = {k.replace("__", "."): v for k, v in overrides.items()}
  fields = {
    "runtime.data_dir": str(data_dir),
    "runtime.save_every": "4 steps",
    "optim.schedule.warmup": "2 steps",
    "optim.schedule.decay": "constant",
    **overrides,
  }
  return config_lib.load(cli.TINY, f"steps={steps}", fields)


def arrays(step):
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  target = {
    name: jax.ShapeDtypeStruct(shape, dtype, sharding=place)
    for name, (dtype, shape) in run_checkpoints.read_arrays(step).items()
  }
  state, _ = run_checkpoints.restore_step(step, target)
  return {name: np.asarray(value) for name, value in state.items()}


def assert_same_step(one, two, step):
  ours, theirs = (arrays(p / "checkpoints" / str(step)) for p in (one, two))
  assert ours.keys() == theirs.keys()
  for name, value in ours.items():
    np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def half(data_dir, tmp_path_factory):
  """A finished run of 4 steps."""
  workdir = tmp_path_factory.mktemp("half")
  loop.train(load(data_dir, 4), str(workdir))
  return workdir


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
  """A run of 8 steps without a seam."""
  workdir = tmp_path_factory.mktemp("whole")
  loop.train(load(data_dir, 8), str(workdir))
  return workdir


@pytest.fixture(scope="module")
def longer(data_dir, tmp_path_factory, half):
  """A run to step 8 that continues the first one."""
  workdir = tmp_path_factory.mktemp("longer")
  loop.train(load(data_dir, 8, start__resume=str(half)), str(workdir))
  return workdir


def test_four_steps_and_four_are_eight(half, whole, longer):
  assert_same_step(longer, half, 4)
  assert_same_step(longer, whole, 8)
  rows = cli.rows(longer / "metrics.jsonl")
  assert [row["step"] for row in rows] == [5, 6, 7, 8]
  assert rows == cli.rows(whole / "metrics.jsonl")[4:]
  assert cli.rows(longer / "evals.jsonl") == cli.rows(whole / "evals.jsonl")


def test_it_resumes_when_the_first_run_is_gone(
  data_dir, tmp_path, half, whole, longer, capsys
):
  first, second = tmp_path / "first", tmp_path / "second"
  shutil.copytree(half, first)
  config = load(data_dir, 8, start__resume=str(first))
  loop.train(config, str(second))
  shutil.rmtree(first)
  shutil.rmtree(second / "checkpoints" / "8")
  capsys.readouterr()
  loop.train(config, str(second))
  err = capsys.readouterr().err
  assert "resuming from step 4" in err
  assert "lost" not in err
  assert_same_step(second, whole, 8)
  assert cli.rows(second / "metrics.jsonl") == cli.rows(
    longer / "metrics.jsonl"
  )
  page = report.page([run_files.read(str(second))])
  assert f"second continues {first} from step 4." in page


def test_the_first_run_may_be_in_a_bucket(
  bucket, data_dir, tmp_path, half, whole, capsys
):
  for file in filter(pathlib.Path.is_file, half.rglob("*")):
    name = file.relative_to(half).as_posix()
    bucket.write(f"runs/half/{name}", file.read_bytes())
  before = dict(bucket.objects)
  first = "gs://bucket/runs/half"
  loop.train(load(data_dir, 8, start__resume=first), str(tmp_path / "longer"))
  assert f"continues {first} from step 4" in capsys.readouterr().err
  assert_same_step(tmp_path / "longer", whole, 8)
  assert bucket.objects == before
  page = report.page([run_files.read(str(tmp_path / "longer"))])
  assert f"longer continues {first} from step 4." in page


def test_the_schedule_is_of_the_new_length(data_dir, tmp_path, half):
  decay = {
    "optim__schedule__decay": "cosine",
    "evals__test__batch_size": 50,
    "evals__test__every": "3 steps",
  }
  loop.train(load(data_dir, 8, **decay), str(tmp_path / "a"))
  config = load(data_dir, 8, start__resume=str(half), **decay)
  loop.train(config, str(tmp_path / "b"))
  rates = [
    [row["learning_rate"] for row in cli.rows(tmp_path / run / "metrics.jsonl")]
    for run in ("a", "b")
  ]
  assert rates[0][4:] == rates[1]
  scored = cli.rows(tmp_path / "b" / "evals.jsonl")
  assert [row["step"] for row in scored] == [6, 8]


def test_the_report_shows_the_seam(half, longer):
  page = report.page([run_files.read(str(half)), run_files.read(str(longer))])
  assert f"{longer.name} continues {half} from step 4." in page
  assert 'id="seam"' in page
  alone = report.page([run_files.read(str(half))])
  assert "continues" not in alone
  assert 'id="seam"' not in alone


@pytest.mark.parametrize(
  ("fields", "says"),
  [
    ({"optim__peak_lr": 0.5}, "optim.peak_lr: 0.001 -> 0.5; only duration,"),
    ({"data__batch_size": 16}, "data.batch_size: 32 -> 16; only"),
    ({"seed": 1}, "seed: 0 -> 1; only"),
  ],
)
def test_another_config_is_refused(data_dir, tmp_path, half, fields, says):
  config = load(data_dir, 8, start__resume=str(half), **fields)
  with pytest.raises(errors.ConfigError, match="is a run of another") as e:
    loop.train(config, str(tmp_path))
  assert says in str(e.value)


def test_a_run_that_would_end_before_it_begins(data_dir, tmp_path, half):
  config = load(data_dir, 4, start__resume=str(half))
  with pytest.raises(errors.ConfigError, match="is at step 4 already; give a"):
    loop.train(config, str(tmp_path))


@pytest.mark.usefixtures("bucket")
def test_no_run_to_continue(data_dir, tmp_path):
  for i, place in enumerate((str(tmp_path / "none"), "gs://bucket/none")):
    config = load(data_dir, 8, start__resume=place)
    with pytest.raises(errors.CheckpointError, match="none/checkpoints is no"):
      loop.train(config, str(tmp_path / f"run{i}"))


def test_more_steps_in_the_same_workdir_name_the_way(data_dir, half):
  with pytest.raises(errors.ConfigError) as e:
    loop.train(load(data_dir, 8), str(half))
  assert "duration: '4 steps' -> '8 steps'" in str(e.value)
  assert str(e.value).endswith(
    "to go on from its last step for longer, name a new workdir and"
    f" --config.start.resume={half}"
  )
