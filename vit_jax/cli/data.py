"""Prepare, describe and verify data sets.

A data set is tfds:NAME[/CONFIG][:VERSION], folder:PATH (folders of classes, or
a manifest *.csv or *.jsonl), multilabel:MANIFEST[@CONFIDENCE], synthetic, or a
mixture mix:WEIGHT*NAME+WEIGHT*NAME.
"""

import argparse

from vit_jax.cli import flags

_ACTIONS = {
  "prepare": "download and build a TFDS data set, or convert it",
  "describe": "show splits, classes and sizes",
  "verify": "check that nothing is missing, changed or damaged",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  actions = parser.add_subparsers(dest="action", required=True)
  for action, summary in _ACTIONS.items():
    sub = actions.add_parser(action, help=summary, description=summary)
    sub.add_argument("name", help="the data set, such as tfds:digits")
    sub.add_argument(
      "--data_dir",
      default="",
      help="where TFDS data sets are (TFDS's own default)",
    )
    if action == "prepare":
      sub.add_argument(
        "--from_dir",
        default="",
        help="convert it from here, where it is in TFRecord",
      )
    if action == "describe":
      sub.add_argument(
        "--sheet", default="", metavar="PNG", help="draw examples to this file"
      )
      sub.add_argument(
        "--split", default="", help="this split alone (all; draws the first)"
      )
    if action == "verify":
      sub.add_argument(
        "--images", action="store_true", help="decode every image as well"
      )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  if args.action == "prepare":
    from vit_jax.data import prepare

    print(prepare.prepare(args.name, args.data_dir, args.from_dir))
  elif args.action == "verify":
    from vit_jax.data import verify

    print(verify.verify(args.name, args.data_dir, images=args.images))
  else:
    from vit_jax.data import describe

    facts = describe.describe(args.name, args.data_dir, args.split)
    print(describe.text(facts))
    if args.sheet:
      split = next(iter(facts["splits"]))
      describe.write_sheet(args.name, split, args.sheet, args.data_dir)
      print(f"wrote {args.sheet}")
