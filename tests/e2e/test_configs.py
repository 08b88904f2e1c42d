"""Every config in configs/ starts, and its resolved text is on record."""

import pathlib

import pytest

from tests.e2e import run as cli
from vit_jax.core import config as config_lib
from vit_jax.train import experiment as experiment_lib, loop

CONFIGS = sorted((cli.ROOT / "configs").glob("*.py"))
GOLDEN = pathlib.Path(__file__).parents[1] / "golden/configs"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_resolved_text(path, golden):
  config = config_lib.load(str(path))
  golden(GOLDEN / f"{path.stem}.json", config_lib.to_json(config) + "\n")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_round_trip(path):
  """Dataclasses -> ConfigDict -> dataclasses is the identity."""
  config = config_lib.load(str(path))
  experiment = config_lib.build(experiment_lib.Experiment, config)
  again = config_lib.to_config_dict(experiment)
  assert config_lib.build(experiment_lib.Experiment, again) == experiment


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_two_steps(path, tmp_path):
  """On made-up images of the config's own shape, whatever it is."""
  config = config_lib.load(str(path))
  (h, w), classes = config.model.image_size, config.model.num_classes
  data = {"name": f"synthetic:16x{h}x{w}x1x{classes}", "split": "train"}
  overrides = {
    "duration": "2 steps",
    "optim.schedule.warmup": "0 steps",
    "data.batch_size": 8,
    **{f"data.train.{k}": v for k, v in data.items()},
    **{f"evals.{e}.data.{k}": v for e in config.evals for k, v in data.items()},
  }
  config = config_lib.load(str(path), overrides=overrides)
  scores = loop.train(config, str(tmp_path))
  assert set(scores) == set(config.evals)
  assert len(cli.rows(tmp_path / "metrics.jsonl")) == 2
