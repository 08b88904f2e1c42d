"""Prepare data sets."""

import argparse

from vit_jax.cli import flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
  actions = parser.add_subparsers(dest="action", required=True)
  prepare = actions.add_parser("prepare", help="download and build a data set")
  prepare.add_argument("name", help="tfds:NAME[/CONFIG][:VERSION]")
  prepare.add_argument(
    "--data_dir", default="", help="where it goes (TFDS's own default)"
  )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  from vit_jax.data import prepare

  print(prepare.prepare(args.name, args.data_dir))
