"""Overrides of a config on the command line."""

import argparse

from tests.e2e import run as cli
from vit_jax.cli import flags


def load(*overrides):
  args = argparse.Namespace(config=cli.TINY, overrides=list(overrides))
  return flags.load(args)


def test_the_last_of_several_for_one_field_counts():
  config = load(
    "--config.optim.frozen=('a','b')",
    "--config.seed=1",
    "--config.optim.frozen=('c',)",
    "--config.model.image_size=(8,8)",
    "--config.seed=2",
    "--config.model.image_size=(16,8)",
    "--config.start.new_head=false",
    "--config.start.new_head=true",
  )
  assert config.optim.frozen == ("c",)
  assert config.model.image_size == (16, 8)
  assert config.seed == 2
  assert config.start.new_head


def test_the_last_name_of_a_part_counts():
  config = load("--config.optim.name=adamw", "--config.optim.name=sgd")
  assert config.optim.name == "sgd"
