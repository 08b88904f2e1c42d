"""Tell what a run needs on TPU slices, whether it fits, and how fast it can be.

Compiles the real train step for slices such as --topology=v3:16x32,v4:8x8x16
(chips along each axis). It needs neither the slices nor the data set.
"""

import argparse
import json

from vit_jax.cli import flags, tpu
from vit_jax.core import errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
  flags.add_config(parser, required=True)
  parser.add_argument(
    "--topology",
    required=True,
    metavar="KIND:AxB[xC],...",
    help="slices; kinds of chip are v3, v4, v5e, v5p and v6e",
  )
  parser.add_argument("--format", choices=("text", "json"), default="text")
  parser.add_argument(
    "--examples",
    type=int,
    default=0,
    metavar="N",
    help="examples of the training split, if the data set is not here",
  )


def run(args: argparse.Namespace) -> None:
  if args.examples < 0:
    raise errors.ConfigError(f"--examples={args.examples} must be >= 0")
  tpu.compile_only()
  from vit_jax.core import config as config_lib
  from vit_jax.plan import inputs, report, topology
  from vit_jax.train.experiment import Experiment

  slices = [topology.Topology.parse(t) for t in args.topology.split(",")]
  experiment = config_lib.build(Experiment, flags.load(args))
  planner = report.Planner(inputs.make_up(experiment, args.examples))
  for part in slices:
    plan = planner(part)
    if args.format == "json":
      print(json.dumps(report.record(plan)), flush=True)
    else:
      print(report.text(plan), flush=True)
