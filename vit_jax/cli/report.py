"""Write one HTML page about one or several runs.

It shows curves, throughput, evaluations, configs with their differences, and
the environment. The page needs no network and no other file.
"""

import argparse
import sys

from vit_jax.cli import flags
from vit_jax.core import errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "workdirs",
    nargs="+",
    metavar="[NAME=]WORKDIR",
    help="folders of runs, and their names on the page",
  )
  parser.add_argument(
    "--out",
    type=flags.place,
    metavar="HTML",
    help="the page (report.html in the first workdir)",
  )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  from vit_jax.analysis import report, run_files
  from vit_jax.core import files, owners, storage

  runs = run_files.read_all(args.workdirs)
  out = storage.path(args.out) if args.out else runs[0].home / "report.html"
  owners.check_file("out", out, flags.is_page, "a report")
  try:
    files.write(out, report.page(runs))
  except errors.StorageError as e:
    reason = getattr(e.__cause__, "strerror", None) or e
    raise errors.StorageError(f"out={out}: {reason}") from e
  print(f"wrote {out}", file=sys.stderr if files.is_stream(out) else sys.stdout)
