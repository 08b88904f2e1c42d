"""Harms a workdir at random; the run resumes right or stops with one line.

usage: python -m tests.e2e.harms [--runs=300] [--first=SEED] --data_dir=DIR
                                 [--log=FILE]

A run that was killed halfway is copied, one or two of its files or folders are
changed, and training goes on in this process. Either the run ends as the
undisturbed one, bit for bit, or it stops with one line. In both cases every row
and every file of a checkpoint that was there is still there, or in a copy.
"""

import argparse
import collections
import contextlib
import dataclasses
import hashlib
import io
import json
import pathlib
import random
import shutil
import sys
import tempfile

import jax

from tests.e2e import run as cli
from vit_jax.core import config as config_lib, errors
from vit_jax.train import loop

STEPS, SAVE_EVERY, ROWS, KEEP = 24, 6, 15, 2
FOREIGN = (
  *(".DS_Store", "._manifest.json", ".localized", "desktop.ini", "Thumbs.db"),
  *(".nfs0000000000000001", ".fuse_hidden0001", ".stfolder", "@eaDir"),
  *(".Trash-0", "lost+found", "notes.txt", "manifest.json~", ".manifest.swp"),
)
JOURNALS = ("metrics.jsonl", "evals.jsonl")


class Failed(AssertionError):
  """A run that did not do what it should."""


def check(good, text):
  if not good:
    raise Failed(text)


def config(data_dir):
  overrides = {
    "runtime.data_dir": str(data_dir),
    "runtime.save_every": f"{SAVE_EVERY} steps",
    "runtime.keep": KEEP,
    "evals.test.every": f"{SAVE_EVERY} steps",
  }
  return config_lib.load(cli.TINY, f"steps={STEPS}", overrides)


def undisturbed(data_dir, workdir):
  """The run that all others are compared with; every checkpoint is kept."""
  whole = config(data_dir)
  with whole.unlocked():
    whole.runtime.keep = STEPS
  train(whole, workdir)
  return workdir


def halfway(whole, workdir):
  """What `whole` would have left had it been killed after so many rows."""
  shutil.copytree(whole, workdir)
  saved = ROWS // SAVE_EVERY * SAVE_EVERY
  for step in (workdir / "checkpoints").iterdir():
    if not saved - KEEP * SAVE_EVERY < int(step.name) <= saved:
      shutil.rmtree(step)
  for name, last in (("metrics.jsonl", ROWS), ("evals.jsonl", saved)):
    lines = (workdir / name).read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["step"] <= last]
    (workdir / name).write_text("".join(kept))
  (workdir / "saved.json").write_text(json.dumps({"newest": saved}) + "\n")
  for events in workdir.glob("events.*"):
    events.unlink()
  return workdir


def train(settings, workdir, **kwargs):
  """Trains in this process; what it printed."""
  said = io.StringIO()
  with contextlib.redirect_stderr(said):
    loop.train(settings, str(workdir), **kwargs)
  return said.getvalue()


# One harm each: path and random numbers -> what was done.


def flip(path, rng):
  data = bytearray(path.read_bytes())
  if not data:
    return extend(path, rng)
  at = rng.randrange(len(data))
  data[at] ^= 1 << rng.randrange(8)
  path.write_bytes(data)
  return f"a bit of byte {at} flipped"


def cut(path, rng):
  data = path.read_bytes()
  at = rng.randrange(len(data)) if data else 0
  path.write_bytes(data[:at])
  return f"cut to {at} bytes"


def extend(path, rng):
  path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 40)))
  return "bytes added"


def _free(path):
  """This path, or one like it that is not taken by an earlier harm."""
  while path.exists():
    path = path.with_name(f"{path.name} 2")
  return path


def remove(path, rng):
  del rng
  shutil.rmtree(path) if path.is_dir() else path.unlink()
  return "removed"


def rename(path, rng):
  name = path.name + rng.choice([".bak", " (copy)", "~", "0", ".orig"])
  path.rename(_free(path.with_name(name)))
  return f"renamed to {name}"


def link(path, rng):
  """Moves it out of the workdir and leaves a link."""
  elsewhere = pathlib.Path(tempfile.mkdtemp(dir=rng.outside)) / path.name
  shutil.move(path, elsewhere)
  path.symlink_to(elsewhere)
  return "moved elsewhere, a link left"


def duplicate(path, rng):
  del rng
  copy = _free(path.with_name(f"copy of {path.name}"))
  shutil.copytree(path, copy) if path.is_dir() else shutil.copy(path, copy)
  return f"copied to {copy.name}"


def foreign(path, rng):
  folder = path if path.is_dir() else path.parent
  name = rng.choice(FOREIGN)
  place = folder / name
  if name in (".stfolder", "@eaDir", ".Trash-0", "lost+found"):
    place.mkdir(exist_ok=True)
    place = place / "x"
  place.write_bytes(rng.randbytes(20))
  return f"{name} beside it"


ON_FILES = (flip, cut, extend, remove, rename, link, duplicate, foreign)
ON_FOLDERS = (remove, rename, link, duplicate, foreign)


def harm(workdir, rng):
  """Changes something somewhere; says what."""
  top = [p for p in workdir.iterdir() if p.name != ".lock"]
  every = sorted(p for p in workdir.rglob("*") if not p.is_symlink())
  # The few files at the top matter as much as the many of the checkpoints.
  path = rng.choice(sorted(top) if rng.random() < 0.5 else every)
  what = rng.choice(ON_FOLDERS if path.is_dir() else ON_FILES)
  return f"{path.relative_to(workdir)}: {what(path, rng)}"


@dataclasses.dataclass
class Before:
  """What was in a harmed workdir.

  Attributes:
    lines: of each journal.
    files: digest of each file below a checkpoint, by path.
  """

  lines: dict[str, list[bytes]]
  files: dict[str, str]


def digest(path):
  return hashlib.sha256(path.read_bytes()).hexdigest()


def look(workdir):
  lines = {}
  for name in JOURNALS:
    path = workdir / name
    there = path.read_bytes().splitlines() if path.is_file() else []
    lines[name] = [line for line in there if line.strip()]
  files = {
    str(path.relative_to(workdir)): digest(path)
    for path in everything(workdir / "checkpoints")
  }
  return Before(lines, files)


def everything(folder):
  """All files below a folder, through links."""
  if not folder.is_dir():
    return
  for path in sorted(folder.iterdir()):
    if path.is_dir():
      yield from everything(path)
    elif path.is_file():
      yield path


def check_nothing_lost(workdir, before, ended):
  """Every line and every file of a checkpoint is there, or a copy of it."""
  for name, lines in before.lines.items():
    copies = workdir.glob(f"**/{name.replace('.', '.cut.')}")
    there = collections.Counter(
      line
      for path in (workdir / name, *copies, *workdir.glob(f"before-*/{name}"))
      if path.is_file()
      for line in path.read_bytes().splitlines()
    )
    missing = collections.Counter(lines) - there
    check(not missing, f"{name} lost {sum(missing.values())} lines")
  there = {digest(p) for p in everything(workdir)}
  for path, content in before.files.items():
    parts = pathlib.Path(path).parts
    # Steps that have been followed by enough good ones are old.
    old = ended and parts[1].isdigit() and int(parts[1]) <= STEPS - SAVE_EVERY
    check(content in there or old, f"{path} is lost")


def check_right(workdir, whole, before):
  """The run ended as the undisturbed one did."""
  ours, theirs = cli.arrays(workdir), cli.arrays(whole)
  check(set(ours) == set(theirs), "other arrays")
  differ = [n for n in ours if ours[n].tobytes() != theirs[n].tobytes()]
  check(not differ, f"{differ} differ")
  for name in JOURNALS:
    right = {row["step"]: row for row in cli.rows(whole / name)}
    rows = cli.rows(workdir / name)
    harmed = {line.strip() for line in before.lines[name]}
    for row, line in zip(
      rows, (workdir / name).read_bytes().splitlines(), strict=True
    ):
      same = row == right.get(row["step"])
      check(same or line in harmed, f"{name}: {row} is wrong")
    # Rows that the harm itself removed stay away; the others are all there.
    have = {row["step"] for row in rows}
    could = {s for s in right if s > ROWS // SAVE_EVERY * SAVE_EVERY}
    check(could <= have, f"{name}: {sorted(could - have)} are missing")


def one(seed, settings, half, whole, folder):
  """Harms a copy and goes on; what is to be logged."""
  rng = random.Random(seed)
  rng.outside = folder
  workdir = folder / "run"
  shutil.copytree(half, workdir)
  harms = [harm(workdir, rng) for _ in range(1 + (seed % 3 == 0))]
  log = {"seed": seed, "harms": harms}
  before = look(workdir)
  try:
    try:
      said = train(settings, workdir)
    except errors.UserError as e:
      line = str(e)
      check("\n" not in line, f"more than one line: {line}")
      check_nothing_lost(workdir, before, ended=False)
      log["ended"] = f"{type(e).__name__}: {line}".replace(str(folder), "")
      if "--start_over" in line:
        train(settings, workdir, start_over=True)
        check_right(workdir, whole, Before({n: [] for n in JOURNALS}, {}))
        check_nothing_lost(workdir, before, ended=False)
    else:
      check_right(workdir, whole, before)
      check_nothing_lost(workdir, before, ended=True)
      resumed = "resuming from step" in said
      log["ended"] = "resumed right" if resumed else "began anew, rightly"
      check(resumed, "began again at step 0 without being asked to")
    log["verdict"] = "good"
  except Failed as e:
    log["verdict"] = f"FAILED: {e}"
  except Exception as e:  # noqa: BLE001
    # Whatever else is raised would be a traceback for the user.
    log["verdict"] = f"FAILED: {type(e).__name__}: {e}"
  return log


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--runs", type=int, default=300)
  parser.add_argument("--first", type=int, default=0)
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--log", type=pathlib.Path)
  args = parser.parse_args()
  jax.config.update("jax_platforms", "cpu")
  failed = []
  with tempfile.TemporaryDirectory() as name:
    top = pathlib.Path(name)
    jax.config.update("jax_compilation_cache_dir", str(top / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    settings = config(args.data_dir)
    whole = undisturbed(args.data_dir, top / "whole")
    half = halfway(whole, top / "half")
    for seed in range(args.first, args.first + args.runs):
      with tempfile.TemporaryDirectory(dir=top) as folder:
        log = one(seed, settings, half, whole, pathlib.Path(folder))
      if log["verdict"] != "good":
        failed.append(seed)
      print(json.dumps(log), flush=True)
      if args.log:
        with args.log.open("a") as f:
          f.write(json.dumps(log) + "\n")
  sys.exit(f"failed: {failed}" if failed else 0)


if __name__ == "__main__":
  main()
