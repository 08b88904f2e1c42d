"""Train a model, or resume a run that was interrupted.

Run the same command again to continue from the last checkpoint.
"""

import argparse
import shlex
import sys
from typing import Any

from vit_jax.cli import auto_mesh, confusion, cpu, distributed, flags, gpu


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
  from vit_jax.train import inferred as inferred_lib, loop

  inferred = processes.on_first(
    lambda: inferred_lib.record(args.workdir, args.config, args.start_over)
  )
  config = processes.together(lambda: flags.load(args, inferred.get("values")))
  chosen = auto_mesh.resolve(config)
  for line in filter(None, (settings, chosen)):
    if processes.is_first():
      print(line, file=sys.stderr)
  scores = loop.train(
    config, args.workdir, start_over=args.start_over, inferred=inferred
  )
  pages = [c for c in config.evals.values() if c.name == "confusion"]
  if pages:
    confusion.write(args.workdir, config, _page(args.workdir))
  if processes.is_first():
    _say_scores(scores)
    _say_next(args.workdir, config, bool(pages))


def _page(workdir: str) -> str:
  return f"{workdir.rstrip('/')}/{confusion.PAGE}"


def _say_scores(scores: dict[str, dict[str, float]]) -> None:
  for name, score in scores.items():
    if {"top_1", "examples"} <= set(score):
      print(
        f"{name} accuracy: {score['top_1']:.2%} of {score['examples']:,} images"
      )


def _say_next(workdir: str, config: Any, has_page: bool) -> None:
  """Prints what can be done with a run that has ended, as commands."""
  from vit_jax.checkpoints import saving
  from vit_jax.core import config as config_lib
  from vit_jax.train.experiment import Experiment

  run = shlex.quote(workdir)
  command = "python -m vit_jax"
  lines = {
    "resume or repeat": "the same command again",
    "evaluate": f"{command} evaluate --checkpoint={run}",
    "look at it": f"tensorboard --logdir={run}",
    "every step": f"{run}/metrics.jsonl, {run}/evals.jsonl",
  }
  if has_page:
    model = config_lib.build(Experiment, config).model
    formats = saving.formats(model)
    to = "timm" if "timm" in formats else next(iter(formats), "orbax")
    out = shlex.quote(f"{workdir.rstrip('/')}-{to}")
    lines |= {
      "its mistakes": shlex.quote(_page(workdir)),
      "predict": f"{command} predict --checkpoint={run} PHOTO.jpg",
      "convert": f"{command} convert --checkpoint={run} --to={to} --out={out}",
    }
  print(f"\nthe run is in {run}")
  for name, text in lines.items():
    print(f"  {name:18} {text}")
