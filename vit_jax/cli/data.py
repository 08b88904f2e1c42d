"""List, prepare, describe, verify and benchmark data sets.

A data set is tfds:NAME[/CONFIG][:VERSION], folder:PATH (folders of classes, or
a manifest *.csv or *.jsonl), multilabel:MANIFEST[@CONFIDENCE], vtab:TASK,
real:FILE, synthetic, a mixture mix:WEIGHT*NAME+WEIGHT*NAME, holdout:SHARE*NAME,
or a module of your own, PACKAGE.MODULE:REST (see vit_jax/data/base.py).
"""

import argparse

from vit_jax.cli import flags
from vit_jax.core import config

_ACTIONS = {
  "list": "show known data sets: classes, images, sizes, manual downloads",
  "prepare": "build a data set: download it, or write it from files",
  "describe": "show splits, classes and sizes",
  "verify": "check that nothing is missing, changed or damaged",
  "benchmark": "time each stage of the input pipeline; name the slowest",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  actions = parser.add_subparsers(dest="action", required=True)
  for action, summary in _ACTIONS.items():
    sub = actions.add_parser(action, help=summary, description=summary)
    if action == "list":
      continue
    sub.add_argument("name", help="the data set, such as tfds:digits")
    sub.add_argument(
      "--data_dir",
      default="",
      help="where TFDS data sets are (TFDS's own default)",
    )
    if action == "prepare":
      _add_prepare(sub)
    if action == "describe":
      sub.add_argument(
        "--sheet",
        type=flags.place,
        metavar="PNG",
        help="draw examples into this file",
      )
      sub.add_argument(
        "--split", default="", help="a single split (all; draws the first)"
      )
    if action == "verify":
      sub.add_argument(
        "--images", action="store_true", help="decode every image as well"
      )
    if action == "benchmark":
      _add_benchmark(sub)


def _add_prepare(sub: argparse.ArgumentParser) -> None:
  sub.add_argument(
    "--from_dir",
    default="",
    help="folder of its official files, or the --data_dir that already has it"
    " in TFRecord, to be converted",
  )
  sub.add_argument(
    "--out",
    default="",
    metavar="NAME[:VERSION]",
    help="name of the data set that a folder:PATH or multilabel:MANIFEST is"
    " written to; configs then use tfds:NAME",
  )
  sub.add_argument(
    "--workers",
    type=int,
    default=0,
    help="processes that write shards (one per CPU)",
  )
  sub.add_argument(
    "--on_error",
    choices=("raise", "skip"),
    default="raise",
    help="what to do about an image that cannot be read: skip leaves it out and"
    " reports it (raise)",
  )
  sub.add_argument(
    "--beam",
    default="",
    metavar="OPTIONS",
    help="options of an Apache Beam pipeline that writes the shards, such as"
    " '--runner=DirectRunner'",
  )


def _add_benchmark(sub: argparse.ArgumentParser) -> None:
  sub.add_argument("--split", default="train", help="split to read (train)")
  sub.add_argument(
    "--preprocess",
    default="",
    metavar="OPS",
    help="such as 'decode|resize(224)' (a random crop to 224, a flip)",
  )
  sub.add_argument(
    "--batch_size", type=int, default=64, help="examples of a batch (64)"
  )
  sub.add_argument(
    "--workers",
    type=int,
    default=0,
    help="processes that make batches (0: threads of this process)",
  )
  sub.add_argument(
    "--seconds",
    type=float,
    default=5.0,
    help="how long to measure single stages, and then all at once (5)",
  )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  if args.action == "list":
    from vit_jax.datasets import catalog

    print(catalog.text())
  elif args.action == "prepare":
    from vit_jax.datasets import prepare

    options = prepare.Options(
      out=args.out,
      workers=args.workers,
      on_error=args.on_error,
      beam=args.beam,
    )
    print(prepare.prepare(args.name, args.data_dir, args.from_dir, options))
  elif args.action == "verify":
    from vit_jax.datasets import verify

    print(verify.verify(args.name, args.data_dir, images=args.images))
  elif args.action == "benchmark":
    from vit_jax.data import benchmark

    options = config.build(
      benchmark.Options,
      {
        "split": args.split,
        "preprocess": args.preprocess or benchmark.PREPROCESS,
        "batch_size": args.batch_size,
        "workers": args.workers,
        "seconds": args.seconds,
      },
    )
    print(
      benchmark.text(benchmark.benchmark(args.name, args.data_dir, options))
    )
  else:
    from vit_jax.datasets import describe

    facts = describe.describe(args.name, args.data_dir, args.split)
    print(describe.text(facts))
    if args.sheet:
      split = next(iter(facts["splits"]))
      describe.write_sheet(args.name, split, args.sheet, args.data_dir)
      print(f"wrote {args.sheet}")
