"""Runs of a sweep as jobs of Slurm, through submitit (extra `[slurm]`)."""

from collections.abc import Sequence
import importlib.util
import os
import pathlib
import shutil
from typing import Any

from vit_jax.core import errors, files
from vit_jax.sweeps import execute, state as state_lib, sweep as sweep_lib


def submit(
  sweep: sweep_lib.Sweep, workdir: str, parameters: Sequence[str]
) -> str:
  """Submits a job for each run that can begin or was interrupted.

  Slurm sends a job SIGTERM before it takes its node: the run saves, and
  submitit puts the job into the queue again. Runs that start from others, and
  final runs, can begin once those have ended: submit again then.

  Jobs work in the current folder, so that relative paths, and modules that the
  config names, are found there as they are here.

  Args:
    sweep: what to run.
    workdir: folder of the sweep, on a disk that the nodes share.
    parameters: KEY=VALUE of submitit's `update_parameters`.

  Returns:
    A line with the numbers of the jobs.

  Raises:
    ConfigError: submitit or Slurm is missing, or a parameter is unknown.
  """
  if not importlib.util.find_spec("submitit"):
    raise errors.ConfigError(
      "--slurm needs submitit: pip install 'vit_jax[slurm]'"
    )
  if not shutil.which("sbatch"):
    raise errors.ConfigError(
      "--slurm needs Slurm, and there is no sbatch here; leave it out"
    )
  import submitit

  home = pathlib.Path(workdir).absolute()
  executor = submitit.AutoExecutor(folder=home / "slurm", cluster="slurm")
  try:
    executor.update_parameters(
      slurm_additional_parameters={"chdir": os.getcwd()},
      **dict(_pair(item) for item in parameters),
    )
  except (NameError, TypeError, ValueError) as e:
    raise errors.ConfigError(f"--slurm: {' '.join(str(e).split())}") from e
  ready = state_lib.ready(sweep, workdir)
  with executor.batch():
    jobs = [executor.submit(Job(run, str(home))) for run in ready]
  numbers = ", ".join(job.job_id for job in jobs)
  return f"submitted {len(jobs)} runs: {numbers or 'none'}"


def _pair(item: str) -> tuple[str, Any]:
  key, equals, value = item.partition("=")
  if not equals:
    raise errors.ConfigError(f"slurm={item} must be KEY=VALUE")
  return key, int(value) if value.isdecimal() else value


class Job:
  """What a job of Slurm does; submitit pickles it."""

  def __init__(self, run: sweep_lib.Run, workdir: str):
    self._home = state_lib.folder(workdir, run)
    self._command = execute.command(run, workdir)

  def __call__(self) -> int:
    """Trains the run; returns its exit code."""
    with files.locked(self._home / state_lib.LOCK) as lock:
      if lock is None or (self._home / "end.json").exists():
        return 0
      code = execute.train(
        self._command,
        self._home,
        lock,
        # It was killed, or another process of it was lost. Slurm itself starts
        # again what it interrupts.
        resumes=lambda code: code < 0 or code == errors.LOST,
      )
      if code not in errors.RESUMABLE:
        state_lib.write_end(self._home, code)
    return code

  def checkpoint(self) -> Any:
    """Called by submitit before the job is taken off its node."""
    import submitit

    return submitit.helpers.DelayedSubmission(self)
