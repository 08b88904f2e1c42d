"""A sweep of real runs whose workers, and which itself, are killed.

usage: python -m tests.sweeps.killed DATA_DIR OUT

24 runs of 30 steps, one of which cannot go well. Three of the others are killed
(-9) once they have saved, the sweep is killed (-9), started again, interrupted
(SIGTERM) and started again. Prints Markdown: what happened, what `status` says,
and whether each run has every step once; and whether the killed ones have the
numbers of runs that nothing disturbed.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

from tests.e2e import run as cli
from vit_jax.sweeps import grid, state, sweep as lib

STEPS = 30
WORKERS = 2
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
FILE = """
from tests.sweeps import killed

def get_sweep(arg):
  return killed.sweep({data!r}, {only!r})
"""


def sweep(data_dir, only=()):
  """The sweep, or some of its runs."""
  settings = grid.product(
    grid.axis(":steps", (STEPS,)),
    grid.axis("runtime.data_dir", (data_dir,)),
    grid.axis("optim.clip_norm", (0.0,)),
    grid.axis("seed", range(4)),
    grid.axis("optim.peak_lr", RATES),
  )
  # A loss that is soon no number.
  settings = (*settings[:-1], {**settings[-1], "optim.peak_lr": 1e30})
  return lib.Sweep(
    config=cli.TINY, settings=tuple(settings[i] for i in only) or settings
  )


class Sweeping:
  """The sweep's process, and what is seen of its runs."""

  def __init__(self, data_dir, out, only=()):
    out.mkdir(parents=True, exist_ok=True)
    self.out, self.begun = out, time.monotonic()
    self.file = out / "sweep.py"
    self.file.write_text(FILE.format(data=data_dir, only=only))
    self.runs = sweep(data_dir, only).runs
    self.lines = []

  def command(self, action, *more):
    args = (f"--config={self.file}", f"--workdir={self.out}", *more)
    return [sys.executable, "-m", "vit_jax", "sweep", action, *args]

  def start(self):
    self.say(f"sweep run --workers={WORKERS}")
    return subprocess.Popen(
      self.command("run", f"--workers={WORKERS}"),
      cwd=cli.ROOT,
      env=cli.environment(devices=1),
      stdout=(self.out / "out.txt").open("a"),
      stderr=subprocess.STDOUT,
    )

  def status(self):
    return subprocess.run(
      self.command("status"),
      cwd=cli.ROOT,
      env=cli.environment(devices=1),
      capture_output=True,
      text=True,
      check=True,
    ).stdout

  def folder(self, run):
    return state.folder(str(self.out), run)

  def states(self):
    return [state.status(str(self.out), run).state for run in self.runs]

  def say(self, what):
    counts = {s: self.states().count(s) for s in sorted(set(self.states()))}
    told = ", ".join(f"{n} {s}" for s, n in counts.items())
    seconds = time.monotonic() - self.begun
    self.lines.append(f"| {seconds:.0f} | {told} | {what} |")
    print(self.lines[-1], flush=True)

  def wait_for(self, condition):
    while not condition():
      time.sleep(0.5)

  def kill_a_worker(self, killed):
    """Kills the first running run that has saved and was not killed yet."""

    def victim():
      for i, run in enumerate(self.runs):
        saved = self.folder(run) / "checkpoints/10/manifest.json"
        if i not in killed and saved.exists():
          pid = pid_of(str(self.folder(run)))
          if pid:
            return i, pid
      return None

    self.wait_for(lambda: victim() is not None)
    i, pid = victim()
    os.kill(pid, signal.SIGKILL)
    killed.append(i)
    self.say(f"kill -9 of run {self.runs[i].name}")

  def done(self, number):
    return sum(s in ("done", "failed") for s in self.states()) >= number


def pid_of(folder):
  """The process that trains in a folder, or 0."""
  for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
      words = path.read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
      continue
    if f"--workdir={folder}" in words and "train" in words:
      return int(path.parent.name)
  return 0


def main(data_dir, out):
  whole = Sweeping(data_dir, pathlib.Path(out) / "killed")
  killed = []
  process = whole.start()
  whole.kill_a_worker(killed)
  whole.wait_for(lambda: whole.done(6))
  whole.kill_a_worker(killed)
  whole.wait_for(lambda: whole.done(9))
  process.kill()
  process.wait()
  whole.say("kill -9 of the sweep; what it ran goes on")
  process = whole.start()
  whole.wait_for(lambda: whole.done(13))
  whole.kill_a_worker(killed)
  whole.wait_for(lambda: whole.done(17))
  process.terminate()
  whole.say(f"SIGTERM to the sweep: exit code {process.wait()}")
  process = whole.start()
  whole.say(f"the sweep has ended: exit code {process.wait()}")
  print(f"\n```\n{whole.status()}```\n")
  rows = {}
  for run, status in zip(whole.runs, whole.states(), strict=True):
    found = cli.rows(whole.folder(run) / "metrics.jsonl")
    if status == "done":
      assert [row["step"] for row in found] == list(range(1, STEPS + 1))
    rows[run.name] = found
  folders = {path.name for path in (whole.out / "runs").iterdir()}
  assert folders == set(rows) and len(rows) == 24
  states = whole.states()
  print(
    f"{states.count('done')} runs have each of their {STEPS} steps once,"
    f" {states.count('failed')} failed, none is missing.\n"
  )
  again = Sweeping(data_dir, pathlib.Path(out) / "undisturbed", tuple(killed))
  again.start().wait()
  for run in again.runs:
    for name in ("metrics", "evals"):
      pair = [cli.rows(s.folder(run) / f"{name}.jsonl") for s in (whole, again)]
      assert pair[0] == pair[1], (run.name, name)
  print(
    f"The {len(killed)} that were killed have the metrics and the scores, bit"
    " for bit, of the same runs undisturbed."
  )


if __name__ == "__main__":
  main(*sys.argv[1:])
