"""Show where a classifier is wrong, on one HTML page.

Accuracy by class, what is taken for what, and the worst mistakes as pictures,
for every split that the config scores. Without --config it is the config that
was saved with the checkpoint. The page needs no network and no other file.
"""

import argparse
from typing import Any

from vit_jax.cli import distributed, flags
from vit_jax.core import errors

PAGE = "confusion.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
  flags.add_config(parser, required=False)
  distributed.add_arguments(parser)
  parser.add_argument(
    "--checkpoint",
    type=flags.place,
    required=True,
    metavar="PATH",
    help="a run's workdir, its checkpoints or one step of them; with --config"
    " also published weights",
  )
  flags.add_reading(parser)
  parser.add_argument(
    "--out",
    type=flags.place,
    metavar="HTML",
    help=f"the page ({PAGE} in the workdir)",
  )
  parser.add_argument(
    "--mistakes",
    type=int,
    default=48,
    metavar="N",
    help="the worst mistakes that are shown",
  )


def run(args: argparse.Namespace) -> None:
  if not args.config:
    flags.refuse_rest(args)
  if args.mistakes < 0:
    raise errors.ConfigError(f"mistakes={args.mistakes} must be >= 0")
  distributed.start(args)
  from vit_jax.cluster import processes
  from vit_jax.core import owners, storage

  home = storage.path(args.checkpoint)
  if not args.out and owners.owner(home) != owners.RUN:
    raise errors.ConfigError(
      f"checkpoint={home} is no workdir to write {PAGE} into; give --out"
    )
  config = processes.together(lambda: flags.load(args) if args.config else None)
  out = args.out or str(home / PAGE)
  how = dict(layout=args.layout, allow_parts=args.allow_parts)
  write(args.checkpoint, config, out, mistakes=args.mistakes, **how)
  if processes.is_first():
    print(f"wrote {out}")


def write(
  checkpoint: str, config: Any, out: str, mistakes: int = 48, **how: Any
) -> None:
  """Writes the page of a checkpoint; every process takes part.

  Args:
    checkpoint: see `analysis.confusion.find`, as are the others.
    config: whose evaluators' splits are looked at, or None.
    out: the page, which may replace one of ours.
    mistakes: the worst ones that are shown.
    **how: layout and allow_parts.
  """
  from vit_jax.analysis import confusion, confusion_page
  from vit_jax.cluster import lifeline, processes
  from vit_jax.core import files, owners, storage

  place = storage.path(out)
  with lifeline.watched():
    processes.on_first(
      lambda: owners.check_file("out", place, flags.is_page, "a page")
    )
    findings = confusion.find(checkpoint, config, mistakes=mistakes, **how)
    title = storage.path(checkpoint).absolute().name
    text = confusion_page.page(f"Mistakes of {title}", findings)
    processes.on_first(lambda: files.write(place, text))
