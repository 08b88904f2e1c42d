"""Overrides of a config, and commands that are printed to be pasted."""

import argparse
import shlex

import pytest

from tests.e2e import run as cli
from vit_jax.cli import flags, main


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


@pytest.mark.parametrize("workdir", ["runs/a", "my runs/it's", "a;b"])
def test_commands_that_are_printed_can_be_pasted(monkeypatch, capsys, workdir):
  monkeypatch.setattr("vit_jax.train.loop.train", lambda *_, **__: {})
  argv = ["train", f"--config={cli.TINY}", f"--workdir={workdir}"]
  assert main.main(argv) == 0
  lines = capsys.readouterr().out.splitlines()
  words = {line.split()[0]: line for line in lines if line.startswith("  ")}
  *_, checkpoint = shlex.split(words["evaluate"])
  assert checkpoint == f"--checkpoint={workdir}"
  *_, logdir = shlex.split(words["look"])
  assert logdir == f"--logdir={workdir}"
