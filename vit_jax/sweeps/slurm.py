"""Runs of a sweep as jobs of Slurm, through submitit (extra `[slurm]`)."""

from collections.abc import Sequence
import importlib.util
import pathlib
import shutil
import subprocess
from typing import Any

from vit_jax.core import errors
from vit_jax.sweeps import execute, state as state_lib, sweep as sweep_lib


def submit(
  sweep: sweep_lib.Sweep,
  runs: list[sweep_lib.Run],
  workdir: str,
  parameters: Sequence[str],
) -> str:
  """Submits a job for each run that can begin or was interrupted.

  Slurm sends a job SIGTERM before it takes its node: the run saves, and
  submitit puts the job into the queue again. Runs that start from others, and
  final runs, can begin once those have ended: submit again then.

  Args:
    sweep: what to run.
    runs: those that are known from the beginning.
    workdir: where the runs are, on a disk that the nodes share.
    parameters: KEY=VALUE of submitit's `update_parameters`.

  Raises:
    ConfigError: no submitit, no Slurm, or a parameter it does not know.
  """
  if not importlib.util.find_spec("submitit"):
    raise errors.ConfigError(
      "--slurm needs submitit: pip install 'vit_jax[slurm]'"
    )
  if not shutil.which("sbatch"):
    raise errors.ConfigError("--slurm: there is no sbatch here; leave it out")
  import submitit

  executor = submitit.AutoExecutor(
    folder=str(pathlib.Path(workdir).absolute() / "slurm"), cluster="slurm"
  )
  try:
    executor.update_parameters(**dict(_pair(item) for item in parameters))
  except (NameError, TypeError, ValueError) as e:
    raise errors.ConfigError(f"--slurm: {' '.join(str(e).split())}") from e
  todo = state_lib.to_begin(sweep, runs, workdir)
  home = str(pathlib.Path(workdir).absolute())
  with executor.batch():
    jobs = [executor.submit(Job(run, home)) for run in todo]
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
    with state_lib.hold(self._home) as lock:
      if lock is None or (self._home / "end.json").exists():
        return 0
      code = 1
      for _ in range(execute.ATTEMPTS):
        with (self._home / "log.txt").open("ab") as log:
          code = subprocess.run(
            self._command, stdout=log, stderr=log, pass_fds=[lock], check=False
          ).returncode
        # Killed, or left alone by another process. What Slurm interrupts, it
        # starts again itself.
        if code >= 0 and code != execute.LOST:
          break
      code = 128 - code if code < 0 else code
      if code not in execute.AGAIN:
        error = state_lib.last_line(self._home / "log.txt") if code else ""
        state_lib.write_end(self._home, code, error)
    return code

  def checkpoint(self) -> Any:
    """Called by submitit before the job is taken off its node."""
    import submitit

    return submitit.helpers.DelayedSubmission(self)
