"""Runs that several processes survive: kills, preemptions, damage, moves.

usage: python -m tests.e2e.chaos [--runs=30] [--first=SEED] --data_dir=DIR
                                 --out=DIR [--log=FILE]

Each run starts as four processes. Its seed draws its faults, after each of
which the same command is started again. It is to end as the undisturbed run:
bit for bit if the number of processes never changed, else with its losses.
"""

import argparse
import dataclasses
import json
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

import jax
import numpy as np

from tests.e2e import run as cli
from vit_jax.cluster.timeouts import Timeouts

STEPS, SAVE_EVERY, PROCESSES = 50, 5, 4
FAULTS_A_RUN = 2
TIMEOUTS = Timeouts(heartbeat=60, progress=300, save=120, shutdown=30)
# A process that waits in the runtime is given this much to end by itself.
GRACE_S = 15
# Only the harness itself waits so long, for a run on a busy machine.
HANG_S = 1200
MESHES = ("data=4", "data=2,fsdp=2", "data=1,fsdp=4")
KINDS = ("kill", "term", "save")
LOST, TERM, KILLED = 75, 143, -9
RTOL = 1e-3


class Failed(AssertionError):
  """A run that did not do what it should."""


def check(good, text):
  if not good:
    raise Failed(text)


@dataclasses.dataclass
class Fault:
  """What happens to a run of so many processes, and what came of it.

  Attributes:
    kind: "kill" and "term" send SIGKILL and SIGTERM, "save" sends SIGKILL
      while a checkpoint is written.
    process: the one that it happens to.
    after: steps that are done before.
    flip: a byte of the newest checkpoint is changed before the next start.
    processes: how many there are.
    then: how many the next start has.
    mesh: what the next start has its devices on.
  """

  kind: str
  process: int
  after: int
  flip: bool
  processes: int
  then: int
  mesh: str = MESHES[0]
  reached: int = 0
  resumed_from: int = 0
  wait_s: float = 0.0
  exit_codes: tuple[int, ...] = ()


def draw(seed):
  """The faults of a run: every other run is moved after each."""
  rng = random.Random(seed)
  moves, count, after = seed % 2 == 1, PROCESSES, rng.randint(3, 15)
  faults = []
  for _ in range(FAULTS_A_RUN):
    then = rng.choice([n for n in (1, 2, 4) if n != count]) if moves else count
    faults.append(
      Fault(
        kind=rng.choice(KINDS),
        process=rng.randrange(count),
        after=after,
        flip=rng.random() < 0.4,
        processes=count,
        then=then,
        mesh=rng.choice(MESHES) if moves else MESHES[0],
      )
    )
    # Two saves later, of which one may be damaged: else a step that was lost
    # once could not but be lost again.
    count, after = then, after + 2 * SAVE_EVERY + rng.randint(7, 12)
  return faults


def start(count, data_dir, workdir, mesh=MESHES[0]):
  address = cli.free_address()
  return [
    cli.start(
      "train",
      f"--config={cli.TINY}:steps={STEPS}",
      f"--config.runtime.data_dir={data_dir}",
      f"--config.runtime.save_every={SAVE_EVERY} steps",
      "--config.evals.test.every=50 %",
      f"--config.runtime.mesh={mesh}",
      f"--workdir={workdir}",
      f"--coordinator_address={address}",
      f"--num_processes={count}",
      f"--process_id={i}",
      *(
        f"--{name}_timeout={seconds}"
        for name, seconds in dataclasses.asdict(TIMEOUTS).items()
      ),
      devices=PROCESSES // count,
    )
    for i in range(count)
  ]


def rows_done(workdir):
  path = workdir / "metrics.jsonl"
  return path.read_bytes().count(b"\n") if path.exists() else 0


def strike(fault, processes, workdir):
  """Waits for the moment, sends the signal; what the processes said."""
  while rows_done(workdir) < fault.after or (
    fault.kind == "save" and not cli.during_save(workdir)
  ):
    if any(p.poll() is not None for p in processes):
      ends = [
        (p.returncode, p.stderr.splitlines()[-1:])
        for p in cli.wait(processes, HANG_S)
      ]
      raise Failed(f"ended before the fault: {ends}")
    time.sleep(0.01)
  number = signal.SIGTERM if fault.kind == "term" else signal.SIGKILL
  processes[fault.process].send_signal(number)
  began = time.monotonic()
  done = cli.wait(processes, HANG_S)
  fault.wait_s = round(time.monotonic() - began, 1)
  fault.reached = rows_done(workdir)
  fault.exit_codes = tuple(p.returncode for p in done)
  return done


def judge(fault, done):
  """All ended, as they should, with one line, within the timeouts."""
  for i, process in enumerate(done):
    struck = i == fault.process and fault.kind != "term"
    want = KILLED if struck else TERM if fault.kind == "term" else LOST
    said = process.stderr.splitlines()[-1:]
    check(
      process.returncode == want,
      f"process {i} ended with {process.returncode}, not {want}: {said}",
    )
    if not struck:
      check("Traceback" not in process.stderr, f"trace of process {i}")
      line = said[0] if said else ""
      check(
        "saved at step" in line
        if fault.kind == "term"
        else f"process {fault.process} (" in line and "died" in line,
        f"process {i} said: {line}",
      )
  limit = TIMEOUTS.save if fault.kind == "term" else TIMEOUTS.heartbeat
  check(fault.wait_s < limit + GRACE_S, f"{fault.wait_s} s until all ended")


def good_steps(workdir):
  """Steps that have a manifest, newest first."""
  folder = workdir / "checkpoints"
  return sorted(
    (
      int(path.parent.name)
      for path in folder.glob("*/manifest.json")
      if path.parent.name.isdigit()
    ),
    reverse=True,
  )


def flip(workdir, rng):
  """Changes one bit of one file of the newest checkpoint, if there is one."""
  for step in good_steps(workdir)[:1]:
    folder = workdir / "checkpoints" / str(step)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    path = rng.choice([p for p in files if p.stat().st_size])
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def resumed_from(done):
  found = re.search(r"resuming from step ([\d,]+)", done[0].stderr)
  return int(found[1].replace(",", "")) if found else 0


def one(seed, data_dir, workdir, whole):
  """Runs the faults of a seed; what is to be logged of it."""
  faults, rng = draw(seed), random.Random(-1 - seed)
  log = {"seed": seed, "restarts": len(faults)}
  began = time.monotonic()
  computed = np.zeros(STEPS + 1, int)
  expect, mesh = 0, MESHES[0]
  try:
    for fault in faults:
      processes = start(fault.processes, data_dir, workdir, mesh)
      done = strike(fault, processes, workdir)
      mesh = fault.mesh
      judge(fault, done)
      check(resumed_from(done) == expect, f"resumed from {resumed_from(done)}")
      fault.resumed_from = expect
      computed[expect + 1 : fault.reached + 1] += 1
      steps = good_steps(workdir)
      if fault.flip:
        flip(workdir, rng)
        steps = steps[1:]
      # Nothing that is saved and good is ever computed again.
      expect = max(steps, default=0)
    done = cli.wait(start(faults[-1].then, data_dir, workdir, mesh), HANG_S)
    codes = [p.returncode for p in done]
    check(not any(codes), f"ended with {codes}: {done[0].stderr[-300:]}")
    check(resumed_from(done) == expect, f"resumed from {resumed_from(done)}")
    computed[expect + 1 :] += 1
    check(computed[1:].max() <= 2, "a step was lost twice")
    log["verdict"] = compare(workdir, whole, {f.then for f in faults})
  except (Failed, subprocess.TimeoutExpired) as e:
    log["verdict"] = f"FAILED: {e}"
  return {
    **log,
    "steps_lost": int(computed.sum()) - STEPS,
    "longest_wait_s": max(f.wait_s for f in faults),
    "seconds": round(time.monotonic() - began),
    "faults": [dataclasses.asdict(f) for f in faults],
  }


def compare(workdir, whole, counts):
  """How the run ended, compared with the undisturbed one."""
  ours, theirs = (cli.rows(w / "metrics.jsonl") for w in (workdir, whole))
  steps = [row["step"] for row in ours]
  check(steps == list(range(1, STEPS + 1)), "not one row a step")
  if counts == {PROCESSES}:
    for file in ("metrics.jsonl", "evals.jsonl"):
      same = cli.rows(workdir / file) == cli.rows(whole / file)
      check(same, f"{file} differs")
    a, b = cli.arrays(workdir), cli.arrays(whole)
    check(set(a) == set(b), "other arrays")
    differ = [name for name in a if a[name].tobytes() != b[name].tobytes()]
    check(not differ, f"{differ} differ")
    return "identical"
  pairs = zip(ours, theirs, strict=True)
  off = max(abs(x["loss"] / y["loss"] - 1) for x, y in pairs)
  check(off < RTOL, f"losses differ by {off}")
  return f"losses within {off:.0e}"


def undisturbed(data_dir, workdir):
  """The run that all others are compared with."""
  done = cli.wait(start(PROCESSES, data_dir, workdir), HANG_S)
  check(not any(p.returncode for p in done), done[0].stderr[-1000:])
  return workdir


def table(logs):
  """The log as Markdown."""
  lines = [
    "| seed | processes | faults | restarts | steps lost | longest wait (s)"
    " | ended |",
    "| --- | --- | --- | --- | --- | --- | --- |",
  ]
  for log in logs:
    counts = [PROCESSES, *(f["then"] for f in log["faults"])]
    faults = ", ".join(
      f"{f['kind']} {f['process']} at {f['reached']}" + " + flip" * f["flip"]
      for f in log["faults"]
    )
    lines.append(
      f"| {log['seed']} | {', '.join(map(str, counts))} | {faults} |"
      f" {log['restarts']} | {log['steps_lost']} | {log['longest_wait_s']} |"
      f" {log['verdict']} |"
    )
  return "\n".join(lines)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--runs", type=int, default=30)
  parser.add_argument("--first", type=int, default=0)
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--log", type=pathlib.Path)
  args = parser.parse_args()
  jax.config.update("jax_platforms", "cpu")
  args.out.mkdir(parents=True, exist_ok=True)
  whole = args.out / "undisturbed"
  if not (whole / f"checkpoints/{STEPS}").exists():
    undisturbed(args.data_dir, whole)
  logs = []
  for seed in range(args.first, args.first + args.runs):
    workdir = args.out / str(seed)
    shutil.rmtree(workdir, ignore_errors=True)
    logs.append(one(seed, args.data_dir, workdir, whole))
    print(json.dumps(logs[-1]), flush=True)
    if args.log:
      with args.log.open("a") as f:
        f.write(json.dumps(logs[-1]) + "\n")
  print(table(logs))
  failed = [log["seed"] for log in logs if "FAILED" in log["verdict"]]
  raise SystemExit(f"failed: {failed}" if failed else 0)


if __name__ == "__main__":
  main()
