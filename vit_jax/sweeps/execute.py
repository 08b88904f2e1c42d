"""Runs of a sweep as processes of this machine, several at a time."""

from collections.abc import Callable
from concurrent import futures
import os
import pathlib
import signal
import subprocess
import sys
import threading

from vit_jax.core import errors, terminal
from vit_jax.sweeps import state as state_lib, sweep as sweep_lib

# A run ends like this because of what surrounds it; it resumes.
LOST = 75
AGAIN = (LOST, 129, 130, 143)
ATTEMPTS = 5
Say = Callable[[str], None]


def execute(
  sweep: sweep_lib.Sweep,
  runs: list[sweep_lib.Run],
  workdir: str,
  *,
  workers: int = 1,
  retry: bool = False,
  say: Say = print,
) -> int:
  """Runs what is not done yet; returns how many runs failed.

  First what others start from, last the final runs.

  Several calls, also on several machines that share the folder, share the
  work. What is interrupted goes on where it stopped when called again.

  Args:
    sweep: what to run.
    runs: those that are known from the beginning.
    workdir: where the runs are.
    workers: runs at a time; each gets its share of the CPU cores.
    retry: whether what failed is tried again.
    say: is told what begins and ends.

  Raises:
    Interrupted: SIGINT, SIGTERM or SIGHUP; every run has saved.
  """
  if retry:
    for run, status in state_lib.all_of(sweep, runs, workdir):
      if status.state == "failed":
        # It is not there where only the run before this one has failed.
        (state_lib.folder(workdir, run) / "end.json").unlink(missing_ok=True)
  with _Pool(workdir, workers, say) as pool:
    while not pool.stopped:
      found = state_lib.all_of(sweep, runs, workdir)
      if all(s.state in ("done", "failed") for _, s in found):
        return sum(s.state == "failed" for _, s in found)
      todo = state_lib.to_begin(sweep, runs, workdir)
      pool.work(todo, found)
      if not todo:
        pool.wait(1.0)
  number = pool.stopped
  raise errors.Interrupted(
    f"{signal.Signals(number).name}: every run has saved; run the same command"
    " again to go on",
    number,
  )


class _Pool:
  """Processes of runs, and the signals that end them."""

  def __init__(self, workdir: str, workers: int, say: Say):
    self._workdir = workdir
    self._workers = workers
    self._say = say
    self._processes: set[subprocess.Popen] = set()
    self._guard = threading.Lock()
    self._stop = threading.Event()
    self.stopped = 0

  def __enter__(self) -> "_Pool":
    self._old = {
      number: signal.signal(number, self._on_signal)
      for number in terminal.stop_signals()
    }
    return self

  def __exit__(self, *_) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)

  def _on_signal(self, number: int, _) -> None:
    self.stopped = number
    terminal.leave()
    self._stop.set()
    for process in list(self._processes):
      process.terminate()

  def wait(self, seconds: float) -> None:
    self._stop.wait(seconds)

  def work(self, runs: list[sweep_lib.Run], known: list) -> None:
    """Runs these and returns when the last has ended."""
    self._ended = sum(s.state in ("done", "failed") for _, s in known)
    self._total = len(known)
    cores = sorted(os.sched_getaffinity(0))
    shares: list[list[int]] = [
      cores[i :: self._workers] or cores for i in range(self._workers)
    ]
    with futures.ThreadPoolExecutor(self._workers) as threads:
      for _ in threads.map(lambda run: self._run(run, shares), runs):
        pass

  def _run(self, run: sweep_lib.Run, shares: list[list[int]]) -> None:
    if self.stopped:
      return
    home = state_lib.folder(self._workdir, run)
    with state_lib.hold(home) as lock:
      if lock is None or (home / "end.json").exists():
        return
      with self._guard:
        cores = shares.pop()
      code = self._train(run, home, lock, cores)
      with self._guard:
        shares.append(cores)
      if self.stopped and code in AGAIN:
        return
      error = state_lib.last_line(home / "log.txt") if code else ""
      state_lib.write_end(home, code, error)
    with self._guard:
      self._ended += 1
      what = f"FAILED ({code}): {error}" if code else "done"
      self._say(
        f"[{self._ended}/{self._total}] {run.name} {what}"
        f"  {sweep_lib.shown(run.setting)}"
      )

  def _train(
    self, run: sweep_lib.Run, home: pathlib.Path, lock: int, cores: list[int]
  ) -> int:
    """Trains, again and again while something else is what ended it."""
    code = 1
    for _ in range(ATTEMPTS):
      with (home / "log.txt").open("ab") as log:
        # The child keeps the lock: the run is not begun twice if this dies.
        process = subprocess.Popen(
          command(run, self._workdir), stdout=log, stderr=log, pass_fds=[lock]
        )
      # Before it counts its cores, which takes it seconds of imports.
      os.sched_setaffinity(process.pid, cores)
      self._processes.add(process)
      if self.stopped:
        process.terminate()
      code = process.wait()
      self._processes.discard(process)
      if self.stopped or (code >= 0 and code not in AGAIN):
        break
    return 128 - code if code < 0 else code


def command(run: sweep_lib.Run, workdir: str) -> list[str]:
  """The train command of a run of the sweep in this folder."""
  train = [sys.executable, "-m", "vit_jax", "train"]
  return [*train, *arguments(run, workdir)]


def arguments(run: sweep_lib.Run, workdir: str) -> list[str]:
  """What follows `train`."""
  home = state_lib.folder(workdir, run)
  return [*run.flags(workdir), f"--workdir={home}"]
