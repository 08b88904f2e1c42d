"""The config of what a run reads."""

import pytest

from vit_jax.core import config as config_lib, errors
from vit_jax.data import config


def test_config_round_trip_and_rules():
  default = config_lib.to_config_dict(config.Config())
  assert default.train.preprocess == (
    "decode(channels=1)|value_range(-1.0, 1.0)"
  )
  assert config_lib.build(config.Config, default) == config.Config()
  for path, value, said in (
    ("batch_size", 0, "batch_size=0 must be at least 1"),
    ("train.name", "tfd:x", "train.name=tfd:x: unknown scheme tfd"),
    ("train.split", "", "train.split='' must name a split"),
    ("train.preprocess", "decod", "train.preprocess=decod: unknown op decod"),
  ):
    broken = config_lib.to_config_dict(config.Config())
    config_lib.parent_of(broken, path)[path.rpartition(".")[2]] = value
    with pytest.raises(errors.ConfigError) as caught:
      config_lib.build(config.Config, broken)
    assert said in str(caught.value)
