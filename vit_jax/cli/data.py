"""List, prepare, describe, verify and benchmark data sets.

A data set is tfds:NAME[/CONFIG][:VERSION], folder:PATH (folders of classes, or
a manifest *.csv or *.jsonl), multilabel:MANIFEST[@CONFIDENCE], vtab:TASK,
real:FILE, synthetic, or a mixture mix:WEIGHT*NAME+WEIGHT*NAME.
"""

import argparse

from vit_jax.cli import flags
from vit_jax.core import config

_ACTIONS = {
  "list": "show known data sets: classes, images, sizes, what they need",
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
        help="draw examples to this file",
      )
      sub.add_argument(
        "--split", default="", help="this split alone (all; draws the first)"
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
    help="where its official files are; or where it is in TFRecord already, to"
    " be converted",
  )
  sub.add_argument(
    "--out",
    default="",
    metavar="NAME[:VERSION]",
    help="of folder:PATH and multilabel:MANIFEST: what they become, to be read"
    " as tfds:NAME",
  )
  sub.add_argument(
    "--workers",
    type=int,
    default=0,
    help="processes that write shards (one for each CPU)",
  )
  sub.add_argument(
    "--on_error",
    choices=("raise", "skip"),
    default="raise",
    help="what an image does that cannot be read: skip leaves it out and"
    " reports it (raise)",
  )
  sub.add_argument(
    "--beam",
    default="",
    metavar="OPTIONS",
    help="write with an Apache Beam pipeline and its options, such as"
    " '--runner=DirectRunner'",
  )


def _add_benchmark(sub: argparse.ArgumentParser) -> None:
  sub.add_argument("--split", default="train", help="what is read (train)")
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
    help="processes that make batches (0: threads of this one)",
  )
  sub.add_argument(
    "--seconds",
    type=float,
    default=5.0,
    help="how long to measure the stages, and how long all at once (5)",
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
