"""Runs of a sweep as processes of this machine, several at a time."""

from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading

from vit_jax.core import errors, files, terminal
from vit_jax.sweeps import state as state_lib, sweep as sweep_lib

_ATTEMPTS = 5
Say = Callable[[str], None]


def execute(
  sweep: sweep_lib.Sweep,
  workdir: str,
  *,
  workers: int = 1,
  retry: bool = False,
  say: Say = print,
) -> int:
  """Runs what is not done yet; returns how many runs failed.

  Runs that others start from come first, the final runs last. Several calls,
  also on several machines that share the folder, divide the runs among
  themselves. After an interruption the same call continues every run.

  Args:
    sweep: what to run.
    workdir: folder of the sweep.
    workers: how many runs train at a time; each gets its share of the CPU
      cores.
    retry: whether failed runs are tried again.
    say: called with a line about each run that has ended.

  Raises:
    Interrupted: SIGINT, SIGTERM or SIGHUP; every run has saved.
  """
  if retry:
    for run, status in state_lib.statuses(sweep, workdir):
      if status.state == "failed":
        # A run that failed because one before it did has no such file.
        (state_lib.folder(workdir, run) / "end.json").unlink(missing_ok=True)
  pool = _Pool(workdir, workers, say)
  with pool.stoppable():
    while not pool.stopped_by:
      known = state_lib.statuses(sweep, workdir)
      if all(status.ended for _, status in known):
        return sum(status.state == "failed" for _, status in known)
      ready = state_lib.ready(sweep, workdir)
      pool.work(ready, known)
      if not ready:
        pool.stop.wait(1.0)
  raise errors.Interrupted(
    f"{signal.Signals(pool.stopped_by).name}: every run has saved; run the same"
    " command again to continue",
    pool.stopped_by,
  )


class _Pool:
  """The processes that train, and the signals that stop them."""

  def __init__(self, workdir: str, workers: int, say: Say):
    self._workdir = workdir
    self._workers = workers
    self._say = say
    self._processes: set[subprocess.Popen] = set()
    self._lock = threading.Lock()
    self.stop = threading.Event()
    self.stopped_by = 0

  @contextlib.contextmanager
  def stoppable(self) -> Iterator[None]:
    """While this is open, a signal stops the processes."""
    before = {
      number: signal.signal(number, self._on_signal)
      for number in terminal.stop_signals()
    }
    try:
      yield
    finally:
      for number, handler in before.items():
        signal.signal(number, handler)

  def _on_signal(self, number: int, _) -> None:
    self.stopped_by = number
    terminal.leave()
    self.stop.set()
    for process in list(self._processes):
      process.terminate()

  def work(self, runs: list[sweep_lib.Run], known: state_lib.Statuses) -> None:
    """Runs these and returns when the last has ended."""
    self._ended = sum(status.ended for _, status in known)
    self._total = len(known)
    cores = sorted(os.sched_getaffinity(0))
    shares: list[list[int]] = [
      cores[i :: self._workers] or cores for i in range(self._workers)
    ]
    with futures.ThreadPoolExecutor(self._workers) as threads:
      for _ in threads.map(lambda run: self._run(run, shares), runs):
        pass

  def _run(self, run: sweep_lib.Run, shares: list[list[int]]) -> None:
    if self.stopped_by:
      return
    home = state_lib.folder(self._workdir, run)
    with files.locked(home / state_lib.LOCK) as lock:
      if lock is None or (home / "end.json").exists():
        return
      with self._lock:
        cores = shares.pop()
      code = train(
        command(run, self._workdir),
        home,
        lock,
        resumes=lambda code: (
          not self.stopped_by and (code < 0 or code in errors.RESUMABLE)
        ),
        watch=lambda process: self._watch(process, cores),
      )
      with self._lock:
        shares.append(cores)
      if self.stopped_by and code in errors.RESUMABLE:
        return
      error = state_lib.write_end(home, code)
    with self._lock:
      self._ended += 1
      what = f"FAILED ({code}): {error}" if code else "done"
      self._say(
        f"[{self._ended}/{self._total}] {run.name} {what}"
        f"  {sweep_lib.setting_text(run.setting)}"
      )

  @contextlib.contextmanager
  def _watch(
    self, process: subprocess.Popen, cores: list[int]
  ) -> Iterator[None]:
    """While this is open, a signal stops the process, which has these cores."""
    # Before it counts its cores, which takes it seconds of imports.
    os.sched_setaffinity(process.pid, cores)
    self._processes.add(process)
    if self.stopped_by:
      process.terminate()
    yield
    self._processes.discard(process)


def train(
  command: list[str],
  home: pathlib.Path,
  lock: int,
  *,
  resumes: Callable[[int], bool],
  watch: Callable[
    [subprocess.Popen], contextlib.AbstractContextManager
  ] = contextlib.nullcontext,
) -> int:
  """Trains a run, with further attempts; returns the last exit code.

  Args:
    command: the train command, which inherits the current folder.
    home: folder of the run, for its log.
    lock: a file that the process keeps open. The folder stays locked while it
      trains, also if the process that started it is killed.
    resumes: whether to try again after this exit code; -N after signal N.
    watch: a context for each process, until it has ended.
  """
  code = errors.FAILED
  for _ in range(_ATTEMPTS):
    with (home / "log.txt").open("ab") as log:
      process = subprocess.Popen(
        command, stdout=log, stderr=log, pass_fds=[lock]
      )
    with watch(process):
      code = process.wait()
    if not resumes(code):
      break
  return errors.signal_code(-code) if code < 0 else code


def command(run: sweep_lib.Run, workdir: str) -> list[str]:
  """The train command of a run of the sweep in this folder."""
  # -m also makes the modules of the current folder importable.
  train = [sys.executable, "-m", "vit_jax", "train"]
  return [*train, *arguments(run, workdir)]


def arguments(run: sweep_lib.Run, workdir: str) -> list[str]:
  """The arguments of the train command of a run."""
  home = state_lib.folder(workdir, run)
  return [*run.flags(workdir), f"--workdir={home}"]
