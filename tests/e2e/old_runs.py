"""Runs that earlier versions saved halfway and that this one goes on with.

usage: python -m tests.e2e.old_runs VERSION

records the runs anew as those of a new version, such as 0.2.0 or
0.2.0_jax_0.12, from `tiny.py`. As a config file, with the name of a folder as
its argument, this is the config of that run as it is on record.

A folder `fixtures/run_of_VERSION/NAME` is the workdir as it was at step 5 of
10, with its checkpoint packed. In `expected.json` are the dtype, shape and
SHA-256 of every array of the state, and the losses of the other five steps.
"""

import hashlib
import json
import pathlib
import sys
import tarfile
import tempfile

import jax
import ml_collections

from tests.e2e import run as cli

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
RUNS = sorted(path.parent for path in FIXTURES.glob("run_of_*/*/expected.json"))
PACKED = "checkpoints.tar.xz"
SAVED, STEPS = 5, 10
# Small files, and updates large enough that losses tell of a wrong moment.
COMMON = (
  f"--config.runtime.save_every={SAVED} steps",
  "--config.runtime.data_dir=data",
  "--config.optim.schedule.warmup=2 steps",
  "--config.optim.peak_lr=0.01",
)
SCORED = (f"--config.evals.test.every={SAVED} steps",)
SMALL_VIT = ("--config.model.width=8", "--config.model.mlp_dim=16")
KINDS = {
  "supervised": ("model=vit,task=supervised", (*SCORED, *SMALL_VIT)),
  "masked_patch": ("model=vit,task=masked_patch", SMALL_VIT),
  "mobilevit": (
    "model=mobilevit",
    (
      *SCORED,
      "--config.model.stem_width=4",
      "--config.model.widths=(4,)",
      "--config.model.transformer_widths=(8,)",
      "--config.model.width=8",
    ),
  ),
}


def get_config(arg=""):
  text = (FIXTURES / arg / "config.json").read_text()
  return ml_collections.ConfigDict(json.loads(text))


def unpack(run, workdir):
  """Makes the workdir what it was at step 5."""
  for name in ("config.json", "metrics.jsonl", "evals.jsonl"):
    (workdir / name).write_bytes((run / name).read_bytes())
  with tarfile.open(run / PACKED) as packed:
    packed.extractall(workdir, filter="data")


def jax_version(workdir):
  """That the run was saved with."""
  text = (workdir / f"checkpoints/{SAVED}/manifest.json").read_text()
  return json.loads(text)["body"]["meta"]["provenance"]["versions"]["jax"]


def restored(run):
  """Dtype, shape and SHA-256 of the bytes of every array, by name."""
  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(folder)
    unpack(run, workdir)
    arrays = cli.arrays(workdir)
  return {
    name: f"{value.dtype}{list(value.shape)}"
    f" {hashlib.sha256(value.tobytes()).hexdigest()}"
    for name, value in sorted(arrays.items())
  }


def losses(workdir):
  """Of the steps after the one that was saved."""
  rows = cli.rows(workdir / "metrics.jsonl")[SAVED:]
  assert [row["step"] for row in rows] == list(range(SAVED + 1, STEPS + 1))
  return [row["loss"] for row in rows]


def record(name, version):
  arg, more = KINDS[name]
  run = FIXTURES / f"run_of_{version.replace('.', '_')}" / name
  run.mkdir(parents=True)
  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(folder)
    done = cli.run(
      "train",
      f"--config={cli.TINY}:steps={STEPS},{arg}",
      f"--workdir={workdir}",
      *COMMON,
      *more,
      devices=1,
    )
    assert done.returncode == 0, done.stderr
    (run / "config.json").write_bytes((workdir / "config.json").read_bytes())
    # As they were at the step that was saved.
    for file in ("metrics.jsonl", "evals.jsonl"):
      lines = (workdir / file).read_text().splitlines(keepends=True)
      kept = [x for x in lines if json.loads(x)["step"] <= SAVED]
      (run / file).write_text("".join(kept))
    with tarfile.open(run / PACKED, "w:xz", preset=9) as packed:
      packed.add(
        workdir / f"checkpoints/{SAVED}",
        f"checkpoints/{SAVED}",
        filter=_anonymous,
      )
    expected = {"arrays": restored(run), "losses": losses(workdir)}
    text = json.dumps(expected, indent=2)
    (run / "expected.json").write_text(text + "\n")


def _anonymous(info):
  info.uid = info.gid = info.mtime = 0
  info.uname = info.gname = ""
  return info


def main():
  jax.config.update("jax_platforms", "cpu")
  for name in KINDS:
    record(name, sys.argv[1])


if __name__ == "__main__":
  main()
