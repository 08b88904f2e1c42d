"""Images of other channels than a model takes: one line, before any device."""

import os
import subprocess
import sys

import pytest

from tests.data import trees
from tests.e2e import run as cli
from tests.train.test_class_order import RGB, config, save
from vit_jax.core import config as config_lib, errors
from vit_jax.evals import resolution
from vit_jax.train import evaluate, experiment, initial, setup

GREY = "decode(channels=1)|value_range(-1.0, 1.0)"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  counts = {"ant": 4, "bee": 4, "cat": 4}
  return f"folder:{trees.classes(folder, counts)}"


def without_devices(command, data, preprocess, *args):
  """Runs a command where whoever touches a device fails; its last line."""
  flags = {
    "model.num_classes": 3,
    "data.train.name": data,
    "data.train.preprocess": preprocess,
    "evals.test.data.name": data,
    "evals.test.data.split": "train",
    "evals.test.data.preprocess": preprocess,
  }
  done = subprocess.run(
    [
      *(sys.executable, "-m", "vit_jax", command),
      f"--config={cli.TINY}:steps=2",
      *(f"--config.{k}={v}" for k, v in flags.items()),
      *args,
    ],
    cwd=cli.ROOT,
    env={**os.environ, "JAX_PLATFORMS": "nowhere"},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2, done.stderr
  *said, error = done.stderr.splitlines()
  # Before it begins, train says what it trains on.
  assert all("examples of 3 classes" in line for line in said), done.stderr
  return error


def test_an_evaluator_of_other_channels(data, tmp_path):
  """It would end the run at its first evaluation, hours later."""
  other = f"--config.evals.test.data.preprocess={GREY}"
  workdir = f"--workdir={tmp_path / 'run'}"
  assert without_devices("train", data, RGB, other, workdir) == (
    f"ConfigError: evals.test.data.preprocess={GREY} gives"
    f" images of 1 channel(s), data.train.preprocess={RGB} of 3: use decode(3)"
  )


def test_a_start_of_other_channels(data, tmp_path):
  saved = save(tmp_path / "rgb.npz", "npz")
  start = (
    f"--config.start.checkpoint={saved}",
    f"--workdir={tmp_path / 'run'}",
  )
  assert without_devices("train", data, GREY, *start) == (
    f"ConfigError: data.train.preprocess={GREY} gives"
    f" images of 1 channel(s), start.checkpoint={saved} of 3: use decode(3)"
  )


def test_weights_of_other_channels_are_not_scored(data, tmp_path):
  saved = save(tmp_path / "grey", "timm", channels=1, preprocess=GREY)
  checkpoint = f"--checkpoint={saved}"
  assert without_devices("evaluate", data, RGB, checkpoint) == (
    f"ConfigError: evals.test.data.preprocess={RGB} gives images of 3"
    f" channel(s), checkpoint={saved} of 1: use decode(1)"
  )


def test_runs_of_other_channels(data, tmp_path):
  """Their metadata tells."""
  saved = save(tmp_path / "grey", "orbax", channels=1, preprocess=GREY)
  c = config(data)
  with pytest.raises(errors.ConfigError, match=r"of 1: use decode\(1\)"):
    evaluate.evaluate(saved, c)
  c.start.checkpoint = saved
  built = config_lib.build(experiment.Experiment, c)
  with pytest.raises(errors.ConfigError, match=r"of 1: use decode\(1\)"):
    initial.load(built, experiment.open_inputs(built))


def test_all_inputs_of_all_evaluators_are_checked(data):
  c = config(data)
  split = {"name": data, "split": "train", "preprocess": RGB}
  made = config_lib.to_config_dict(resolution.Config())
  with c.unlocked():
    c.evals.sizes = {"name": "resolution", **made}
    c.evals.sizes.data.update(split)
    c.evals.sizes.preprocess = ("decode(1)|resize(12)|value_range(-1, 1)",)
  built = config_lib.build(experiment.Experiment, c)
  message = r"evals\.sizes\.preprocess: decode\(1\).* 1 channel.* of 3"
  with pytest.raises(errors.ConfigError, match=message):
    setup.build(built, experiment.open_inputs(built))
  c.evals.sizes.data.preprocess = GREY
  built = config_lib.build(experiment.Experiment, c)
  message = (
    r"evals\.sizes\.data\.preprocess=decode\(channels=1\).* use decode\(3\)"
  )
  with pytest.raises(errors.ConfigError, match=message):
    experiment.open_inputs(built)
