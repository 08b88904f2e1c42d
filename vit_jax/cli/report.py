"""Write one HTML page about one or several runs.

Curves, throughput, evaluations, configs with their differences, environment.
The page needs no network and no other file.
"""

import argparse

from vit_jax.cli import flags
from vit_jax.core import errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "workdirs",
    nargs="+",
    metavar="[NAME=]WORKDIR",
    help="folders of runs, and what to call them",
  )
  parser.add_argument(
    "--out",
    default="",
    metavar="HTML",
    help="the page (report.html in the first workdir)",
  )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  from vit_jax.analysis import report, run_files
  from vit_jax.core import storage

  runs = run_files.read_all(args.workdirs)
  out = storage.path(args.out) if args.out else runs[0].home / "report.html"
  try:
    out.write_text(report.page(runs), encoding="utf-8")
  except OSError as e:
    raise errors.StorageError(f"out={out}: {e.strerror or e}") from e
  print(f"wrote {out}")
