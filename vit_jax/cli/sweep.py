"""Run a grid of trainings, show its progress, and collect its results.

Each run has its own folder below the workdir and resumes there. A sweep
is a file with get_sweep(arg), such as those of configs/sweeps.
"""

import argparse
import pathlib
import shlex
import time

from vit_jax.cli import flags
from vit_jax.core import errors, owners

_ACTIONS = {
  "run": "run what is not done yet",
  "status": "show where every run stands",
  "commands": "print the name and train arguments of each run that can begin",
  "collect": "write results.csv, results.md and results.png",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  actions = parser.add_subparsers(dest="action", required=True)
  for action, summary in _ACTIONS.items():
    sub = actions.add_parser(action, help=summary, description=summary)
    sub.add_argument(
      "--config", required=True, metavar="FILE[:ARG]", help="the sweep's file"
    )
    sub.add_argument(
      "--workdir",
      type=flags.place,
      required=True,
      metavar="DIR",
      help="folder of the runs",
    )
    if action == "run":
      sub.add_argument(
        "--workers", type=int, default=1, metavar="N", help="runs at a time"
      )
      sub.add_argument(
        "--retry", action="store_true", help="try failed runs again"
      )
      sub.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="submit each run to Slurm with this submitit parameter, such as"
        " slurm_partition=gpu (repeat the flag for more)",
      )
    if action == "status":
      sub.add_argument(
        "--watch",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="refresh until every run has ended",
      )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  if "://" in args.workdir:
    raise errors.ConfigError(
      f"workdir={args.workdir}: a sweep's folder must be on a disk or a mounted"
      " bucket; mount it and use the mounted path"
    )
  from vit_jax.sweeps import sweep as sweep_lib

  path, _, arg = args.config.partition(":")
  sweep = sweep_lib.load(path, arg)
  if args.action == "status":
    _watch(sweep, args)
  elif args.action == "commands":
    _commands(sweep, args.workdir)
  elif args.action == "collect":
    _collect(sweep, args.workdir)
  else:
    _run(sweep, args)


def _run(sweep, args: argparse.Namespace) -> None:
  from vit_jax.sweeps import execute, leaks

  if args.workers < 1:
    raise errors.ConfigError(f"workers={args.workers} must be at least 1")
  leaks.check(sweep)
  owners.check_folder("workdir", pathlib.Path(args.workdir), but=owners.SWEEP)
  if args.slurm:
    from vit_jax.sweeps import slurm

    print(slurm.submit(sweep, args.workdir, args.slurm))
    return
  failed = execute.execute(
    sweep, args.workdir, workers=args.workers, retry=args.retry
  )
  again = shlex.join((f"--config={args.config}", f"--workdir={args.workdir}"))
  if failed:
    raise errors.RunError(
      f"{failed} runs failed: sweep status says why; to try them again:"
      f" python -m vit_jax sweep run --retry {again}"
    )
  print(f"all runs are done; python -m vit_jax sweep collect {again}")


def _commands(sweep, workdir: str) -> None:
  """The command of each run, one per line, to be started by other means."""
  from vit_jax.sweeps import execute, leaks, state

  leaks.check(sweep)
  for run in state.ready(sweep, workdir):
    print(run.name, shlex.join(execute.arguments(run, workdir)))


def _collect(sweep, workdir: str) -> None:
  from vit_jax.analysis import plots
  from vit_jax.sweeps import collect

  rows = collect.collect(sweep, workdir)
  metric = collect.plotted_metric(sweep, rows)
  x, series = collect.series(rows, metric)
  ends = ["csv", "md"]
  if x:
    plots.errorbars(
      series, f"{workdir}/results.png", x_label=x.lstrip(":"), y_label=metric
    )
    ends.append("png")
  for end in ends:
    print(f"wrote {workdir}/results.{end}")


def _watch(sweep, args: argparse.Namespace) -> None:
  from vit_jax.sweeps import status

  while True:
    text, ended = status.text(sweep, args.workdir)
    clear = "\x1b[H\x1b[2J" if args.watch else ""
    print(f"{clear}{text}", flush=True)
    if ended or not args.watch:
      return
    time.sleep(args.watch)
