"""Score a checkpoint with the evaluators of a config.

Without --config the config that was saved with the checkpoint is used.
"""

import argparse

from vit_jax.cli import distributed, flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
  flags.add_config(parser, required=False)
  distributed.add_arguments(parser)
  parser.add_argument(
    "--checkpoint",
    required=True,
    metavar="PATH",
    help="a run's workdir, its checkpoints or one step of them; with --config"
    " also published weights",
  )
  flags.add_reading(parser)


def run(args: argparse.Namespace) -> None:
  if not args.config:
    flags.refuse_rest(args)
  distributed.start(args)
  from vit_jax.cluster import lifeline, processes
  from vit_jax.train import evaluate

  with lifeline.watched():
    config = processes.together(
      lambda: flags.load(args) if args.config else None
    )
    scores = evaluate.evaluate(
      args.checkpoint,
      config,
      layout=args.layout,
      allow_parts=args.allow_parts,
    )
  if not processes.is_first():
    return
  for name, score in scores.items():
    numbers = "  ".join(
      f"{key} {value:,}" if isinstance(value, int) else f"{key} {value:.6f}"
      for key, value in score.items()
    )
    print(f"{name}: {numbers}")
