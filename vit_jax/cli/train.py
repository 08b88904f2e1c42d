"""Train a model, or resume a run that was interrupted.

Run the same command again to continue from the last checkpoint.
"""

import argparse
import shlex
import sys

from vit_jax.cli import auto_mesh, cpu, distributed, flags, gpu


def add_arguments(parser: argparse.ArgumentParser) -> None:
  flags.add_config(parser, required=True)
  distributed.add_arguments(parser)
  gpu.add_arguments(parser)
  parser.add_argument(
    "--workdir",
    type=flags.place,
    required=True,
    metavar="DIR",
    help="where checkpoints, metrics and TensorBoard files go",
  )
  parser.add_argument(
    "--start_over",
    action="store_true",
    help="move what an earlier run left in the workdir to a folder before-N in"
    " it, and train from the first step",
  )


def run(args: argparse.Namespace) -> None:
  cpu.keep_memory()
  settings = gpu.prepare(args.deterministic)
  distributed.start(args)
  from vit_jax.cluster import processes
  from vit_jax.train import loop

  config = processes.together(lambda: flags.load(args))
  chosen = auto_mesh.resolve(config)
  for line in filter(None, (settings, chosen)):
    if processes.is_first():
      print(line, file=sys.stderr)
  scores = loop.train(config, args.workdir, start_over=args.start_over)
  if not processes.is_first():
    return
  for name, score in scores.items():
    if {"top_1", "examples"} <= set(score):
      print(
        f"{name} accuracy: {score['top_1']:.2%} of {score['examples']:,} images"
      )
  workdir = shlex.quote(args.workdir)
  print(
    f"""
the run is in {args.workdir}
  resume or repeat   the same command again
  evaluate           python -m vit_jax evaluate --checkpoint={workdir}
  look at it         tensorboard --logdir={workdir}
  every step         {args.workdir}/metrics.jsonl, {args.workdir}/evals.jsonl"""
  )
