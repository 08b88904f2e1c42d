"""A config that is planned in seconds and is large enough to be measured."""

import dataclasses

from tests.e2e import run as cli
from vit_jax.core import config as config_lib, mesh as mesh_lib
from vit_jax.plan import estimate, inputs
from vit_jax.train.experiment import Experiment

OVERRIDES = {
  "data.batch_size": 4096,
  "data.train.preprocess": "decode|value_range(-1, 1)",
  "model.depth": 6,
  "model.dtype": "bfloat16",
  "model.image_size": (64, 64),
  "model.mlp_dim": 1024,
  "model.num_heads": 4,
  "model.patch_size": (8, 8),
  "model.width": 256,
  "task.mixup": 0.0,
}


def planned(examples=0, **overrides):
  """With double underscores for the dots of fields."""
  overrides = {k.replace("__", "."): v for k, v in overrides.items()}
  config = config_lib.load(cli.TINY, "dropout=0.0", {**OVERRIDES, **overrides})
  return inputs.make_up(config_lib.build(Experiment, config), examples)


def estimator(**overrides):
  made_up = planned(**overrides)
  return estimate.Estimator(made_up.experiment, made_up.inputs)


def needs(estimator, devices=8, **runtime):
  """What one device needs with these values of `runtime`."""
  experiment = estimator.experiment
  if "mesh" in runtime:
    runtime["mesh"] = mesh_lib.MeshShape.parse(runtime["mesh"])
  runtime = dataclasses.replace(experiment.runtime, **runtime)
  return estimator(dataclasses.replace(experiment, runtime=runtime), devices)
