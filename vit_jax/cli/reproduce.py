"""Reproduce a table or figure of the paper, at a small scale or at its own.

--scale=mini trains small models here and judges the paper's claims; the same
command continues after an interruption. --scale=paper shows the paper's numbers
beside those of finished runs below --runs, computes what needs no training, and
gives the commands for the missing runs. --page=docs/reproduction.md rewrites
that page from the results.
"""

import argparse
import pathlib

from vit_jax.cli import flags, tpu
from vit_jax.core import errors, owners


def add_arguments(parser: argparse.ArgumentParser) -> None:
  what = parser.add_mutually_exclusive_group(required=True)
  what.add_argument("--table", type=int, metavar="1..9")
  what.add_argument("--figure", type=int, metavar="2..14")
  what.add_argument("--section", choices=("4.6",), help="self-supervision")
  what.add_argument(
    "--page", type=flags.place, metavar="FILE", help="write the page of results"
  )
  parser.add_argument("--scale", choices=("paper", "mini"), default="paper")
  parser.add_argument(
    "--out",
    type=flags.place,
    default="results/reproduction",
    metavar="DIR",
    help="folder of results (default: results/reproduction)",
  )
  parser.add_argument(
    "--runs",
    type=flags.place,
    default="runs",
    metavar="DIR",
    help="folder of runs: mini writes them, paper reads them (default: runs)",
  )
  parser.add_argument(
    "--data_dir", default="data", metavar="DIR", help="of data sets (mini)"
  )
  parser.add_argument(
    "--workers", type=int, default=1, metavar="N", help="runs at a time (mini)"
  )
  parser.add_argument(
    "--compute",
    type=int,
    default=0,
    metavar="N",
    help="first compute at most N core-days, or compile N steps of Figure 12,"
    " that are not in DIR/computed.jsonl; minutes each (paper)",
  )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  for name, least in (("workers", 1), ("compute", 0)):
    value = getattr(args, name)
    if value < least:
      raise errors.ConfigError(f"{name}={value} must be at least {least}")
  owners.check_folder("out", pathlib.Path(args.out))
  owners.check_folder("runs", pathlib.Path(args.runs), but=owners.SWEEP)
  if args.page:
    from vit_jax.reproduce import document

    owners.check_file(
      "page",
      pathlib.Path(args.page),
      lambda head: head.startswith(document.TITLE.encode()),
      "the page of results",
    )
    document.write(pathlib.Path(args.page), pathlib.Path(args.out))
    print(f"wrote {args.page}")
  elif args.scale == "mini":
    _mini(args)
  else:
    _paper(args)


def _what(args: argparse.Namespace) -> str:
  for kind in ("table", "figure"):
    if getattr(args, kind) is not None:
      return f"{kind}={getattr(args, kind)}"
  return f"section={args.section}"


def _mini(args: argparse.Namespace) -> None:
  from vit_jax.reproduce import run_small, small_experiment

  experiment = small_experiment.find(_what(args))
  out = f"{args.out}/{experiment.name}"
  result = run_small.run(
    experiment,
    f"{args.runs}/{experiment.name}",
    out,
    data_dir=args.data_dir,
    workers=args.workers,
  )
  table = run_small.table(experiment, result)
  print(f"\n{experiment.question}\n\n{table}\nwrote {out}")


def _paper(args: argparse.Namespace) -> None:
  tpu.compile_only()
  import jax

  from vit_jax.reproduce import pages, paper_scale

  out = pathlib.Path(args.out)
  if args.compute:
    effort = jax.config.read("jax_exec_time_optimization_effort")
    paper_scale.compute(
      _what(args), out, args.runs, args.compute, effort, print
    )
  shown = paper_scale.show(_what(args), out, args.runs)
  for page in shown:
    print(pages.text(page))
  for file in paper_scale.write(_what(args), shown, out):
    print(f"wrote {file}")
