"""Write a checkpoint in another format.

npz is the format of google-research's code bases, timm and hf are safetensors
with a config.json, orbax is a workdir like that of a run of this package.
"""

import argparse

from vit_jax.cli import flags
from vit_jax.core import errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
  flags.add_checkpoint(parser)
  parser.add_argument(
    "--to",
    required=True,
    metavar="FORMAT",
    help="npz, timm, hf, orbax, or a module of your own with a dot in its name",
  )
  parser.add_argument(
    "--out",
    type=flags.place,
    required=True,
    metavar="PATH",
    help="the file or folder to write",
  )
  parser.add_argument(
    "--num_classes",
    type=int,
    metavar="C",
    help="another number of classes: the new head is zeros; 0 is no head",
  )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  if args.num_classes is not None and args.num_classes < 0:
    raise errors.ConfigError(f"num_classes={args.num_classes} must be >= 0")
  from vit_jax import checkpoints

  loaded, saved = checkpoints.convert(
    args.checkpoint,
    args.to,
    args.out,
    num_classes=args.num_classes,
    **flags.loading(args),
  )
  report = loaded.report
  print(f"{loaded.source_format} -> {saved.format}: {saved.path}")
  for what in ("resized", "reset", "dropped", "ignored", "assumptions"):
    for entry in getattr(report, what):
      print(f"{what}: {entry}")
  for note in saved.notes:
    print(f"note: {note}")
