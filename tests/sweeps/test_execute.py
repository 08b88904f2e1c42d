"""Running a sweep: killed, failing and interrupted runs, two sweeps at once."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.e2e import run as command
from tests.sweeps import stand_in
from vit_jax.core import errors, files
from vit_jax.sweeps import collect, execute, grid, state, status, sweep as lib

RATES = tuple(float(f"{0.001 * 1.2**i:.4g}") for i in range(12))


def grid_of_24():
  return lib.Sweep(
    config=command.TINY,
    settings=grid.product(
      grid.axis("seed", (0, 1)), grid.axis("optim.peak_lr", RATES)
    ),
  )


@pytest.fixture
def sweep(monkeypatch):
  """24 runs of the stand-in."""

  def command_of(run, workdir):
    home = state.folder(workdir, run)
    flags = [*run.flags(workdir), f"--workdir={home}"]
    return [sys.executable, stand_in.__file__, *flags]

  monkeypatch.setattr(execute, "command", command_of)
  made = grid_of_24()
  return made, made.runs


def plan(monkeypatch, **actions):
  monkeypatch.setenv(
    "PLAN", json.dumps({str(RATES[int(k[1:])]): v for k, v in actions.items()})
  )


def starts(folder, run):
  file = state.folder(str(folder), run) / "starts"
  return file.read_text().splitlines() if file.exists() else []


def first(sweep, number):
  """The sweep of its first runs alone."""
  return dataclasses.replace(sweep, settings=sweep.settings[:number])


def results(folder, sweep):
  collect.collect(sweep, str(folder))
  return [(folder / f"results.{end}").read_bytes() for end in ("csv", "md")]


def test_killed_and_failing_runs(sweep, monkeypatch, tmp_path):
  made, runs = sweep
  plan(monkeypatch, r2="kill", r5="kill", r6="busy", r9="fail")
  lines = []
  failed = execute.execute(made, str(tmp_path), workers=4, say=lines.append)
  assert failed == 2
  assert len(lines) == 24 and lines[-1].startswith("[24/24] ")
  assert sum("FAILED (2): ConfigError: optim.peak_lr is odd" in x
             for x in lines) == 2  # fmt: skip
  for run in runs:
    again = run.setting["optim.peak_lr"] in (RATES[2], RATES[5], RATES[6])
    assert len(starts(tmp_path, run)) == 1 + again
  text, ended = status.text(made, str(tmp_path))
  assert ended and "24 runs: 22 done, 2 failed" in text
  assert text.count("optim.peak_lr is odd (log: ") == 2
  # What is done stays; what failed is tried on request alone.
  assert execute.execute(made, str(tmp_path), say=lines.append) == 2
  assert len(lines) == 24
  plan(monkeypatch)
  done = execute.execute(
    made, str(tmp_path), workers=2, retry=True, say=lines.append
  )
  assert done == 0 and len(lines) == 26
  # The same files as from a sweep that nothing disturbed.
  undisturbed = tmp_path / "undisturbed"
  execute.execute(made, str(undisturbed), workers=3, say=lines.append)
  assert results(tmp_path, made) == results(undisturbed, made)


def test_cores_are_shared(sweep, tmp_path):
  made, runs = sweep
  cores = sorted(os.sched_getaffinity(0))
  execute.execute(first(made, 4), str(tmp_path), workers=2, say=print)
  seen = {line for run in runs[:4] for line in starts(tmp_path, run)}
  assert seen <= {str(cores[::2]), str(cores[1::2] or cores)}


def test_interrupted_and_gone_on(sweep, monkeypatch, tmp_path):
  made, runs = sweep
  plan(monkeypatch, r1="wait")
  waiting = state.folder(str(tmp_path), runs[1])

  def interrupt():
    while not (waiting / "waits").exists():
      time.sleep(0.05)
    during.append(state.status(str(tmp_path), runs[1]))
    os.kill(os.getpid(), signal.SIGTERM)

  during = []
  thread = threading.Thread(target=interrupt)
  thread.start()
  with pytest.raises(errors.Interrupted, match="SIGTERM: every run has saved"):
    execute.execute(first(made, 3), str(tmp_path), say=print)
  thread.join()
  assert during == [state.Status("running", progress="3/10")]
  found = [state.status(str(tmp_path), run).state for run in runs[:3]]
  assert found == ["done", "interrupted", "waiting"]
  assert execute.execute(first(made, 3), str(tmp_path), say=print) == 0
  assert [len(starts(tmp_path, run)) for run in runs[:3]] == [1, 2, 1]


def test_a_run_holds_its_folder_itself(sweep, tmp_path):
  """So that it is not begun twice when the sweep alone is killed."""
  made, runs = sweep
  execute.execute(first(made, 1), str(tmp_path), say=print)
  assert (state.folder(str(tmp_path), runs[0]) / "holds").exists()


def test_runs_work_in_the_folder_of_the_sweep_command(
  sweep, monkeypatch, tmp_path
):
  made, runs = sweep
  (tmp_path / "here").mkdir()
  monkeypatch.chdir(tmp_path / "here")
  execute.execute(first(made, 1), "w", say=print)
  place = state.folder("w", runs[0]) / "place"
  assert place.read_text() == str(tmp_path / "here")


def test_a_run_that_another_holds_is_waited_for(sweep, tmp_path):
  made, runs = sweep
  home = state.folder(str(tmp_path), runs[0])
  with files.locked(home / state.LOCK) as lock:
    holder = subprocess.Popen(["sleep", "2"], pass_fds=[lock])
  # Held on by a process whose parent has let go.
  assert state.status(str(tmp_path), runs[0]).state == "running"
  execute.execute(first(made, 2), str(tmp_path), say=print)
  assert holder.poll() == 0
  assert [len(starts(tmp_path, run)) for run in runs[:2]] == [1, 1]


def test_another_form_of_the_sweep_is_told_apart(sweep, tmp_path):
  made, runs = sweep
  execute.execute(first(made, 2), str(tmp_path), say=print)
  text, ended = status.text(
    dataclasses.replace(made, settings=made.settings[1:3]), str(tmp_path)
  )
  assert not ended and "1 done, 1 waiting" in text
  assert f"left alone: {runs[0].name}" in text


@pytest.fixture
def chain(sweep):
  """Four rates from each of two runs before them; the best again, twice."""
  starts = [
    lib.Trained(f"from_{r}", "tiny.py", {"optim.peak_lr": r}) for r in RATES[:2]
  ]
  made = lib.Sweep(
    config=command.TINY,
    settings=grid.product(
      grid.axis("start.checkpoint", starts),
      grid.axis("optim.peak_lr", RATES[2:6]),
    ),
    metric="test/top_1",
    tuned=("optim.peak_lr",),
    final=grid.axis("seed", (5, 6)),
  )
  return made, made.runs


def test_runs_begin_when_those_before_them_are_done(
  chain, monkeypatch, tmp_path
):
  made, runs = chain
  lines = []
  assert execute.execute(made, str(tmp_path), workers=3, say=lines.append) == 0
  assert len(lines) == 2 + 8 + 4
  first = {line.split()[1] for line in lines[:2]}
  assert first == {run.name for run in runs[:2]}
  assert all("seed=" in line for line in lines[10:])
  csv = (results(tmp_path, made)[0]).decode().splitlines()
  assert csv[1].split(",")[1] == "start" and csv[3].split(",")[1] == "first"
  assert f"from_{RATES[0]}" in csv[3]


def test_what_comes_after_a_failed_run_waits_for_it_to_be_retried(
  chain, monkeypatch, tmp_path
):
  made, runs = chain
  plan(monkeypatch, r0="fail")
  failed = execute.execute(made, str(tmp_path), say=lambda _: None)
  # The run, and the four after it, which were not begun.
  assert failed == 5
  assert [len(starts(tmp_path, run)) for run in runs] == [1] * 2 + (
    [0] * 4 + [1] * 4
  )
  text, ended = status.text(made, str(tmp_path))
  assert (
    ended
    and f"{runs[2].name}: run {runs[0].name}, which it starts from" in text
  )
  assert "10 runs: 5 failed, 5 done" in text or "12 runs: 5 failed" in text
  plan(monkeypatch)
  again = execute.execute(made, str(tmp_path), retry=True, say=lambda _: None)
  assert again == 0
  found = state.statuses(made, str(tmp_path))
  assert len(found) == 14 and {s.state for _, s in found} == {"done"}
  assert [len(starts(tmp_path, run)) for run in runs] == [2] + [1] * 9
