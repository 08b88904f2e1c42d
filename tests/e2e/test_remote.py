"""Data and run in a bucket: stopped, damaged, resumed, read."""

import json
import pathlib
import signal
import time

import pytest

from tests.e2e import run as cli
from vit_jax.core import storage

pytestmark = pytest.mark.slow
RUN = "gs://bucket/runs/tiny"


def upload(bucket, folder):
  for file in filter(pathlib.Path.is_file, folder.rglob("*")):
    name = file.relative_to(folder).as_posix()
    bucket.write(f"data/{name}", file.read_bytes())


def train(data_dir, workdir):
  return cli.start(
    "train",
    f"--config={cli.TINY}:steps=60",
    f"--config.runtime.data_dir={data_dir}",
    f"--workdir={workdir}",
  )


def rows(bucket, name):
  found = map(json.loads, bucket.read(f"runs/tiny/{name}").splitlines())
  return [{k: v for k, v in row.items() if "time" not in k} for row in found]


def test_a_run_in_a_bucket(bucket, data_dir, tmp_path):
  upload(bucket, data_dir)
  process = train("gs://bucket/data", RUN)
  while process.poll() is None and not bucket.names(
    "runs/tiny/checkpoints/20/manifest.json"
  ):
    time.sleep(0.01)
  process.send_signal(signal.SIGTERM)
  _, err = process.communicate(timeout=120)
  assert process.returncode == 143, err
  step = int(err.split("saved at step ")[1].split(";")[0])
  # What is left once the newest is damaged.
  before = (step - 1) // 10 * 10
  assert len(rows(bucket, "metrics.jsonl")) == step
  saved = f"runs/tiny/checkpoints/{step}/"
  assert bucket.names(saved + "manifest.json")
  assert bucket.names("runs/tiny/events.out.tfevents")
  assert not bucket.names("runs/tiny/.lock")

  data = bytearray(bucket.read(file := bucket.names(saved + "state/d/")[0]))
  data[len(data) // 2] ^= 1
  bucket.write(file, bytes(data))
  done = cli.wait([train("gs://bucket/data", RUN)])[0]
  assert done.returncode == 0, done.stderr
  assert f"{step} is unusable: state/d/" in done.stderr
  assert f"resuming from step {before}" in done.stderr
  aside = file.replace(f"/{step}/", f"/damaged/{step}-1/")
  assert bucket.read(aside) == data

  # Bit for bit what it would have been on a disk, undisturbed.
  whole = cli.wait([train(data_dir, tmp_path / "whole")])[0]
  assert whole.returncode == 0, whole.stderr
  a, b = cli.arrays(storage.path(RUN)), cli.arrays(tmp_path / "whole")
  assert set(a) == set(b)
  for name in a:
    assert a[name].tobytes() == b[name].tobytes(), name
  for name in ("metrics.jsonl", "evals.jsonl"):
    assert rows(bucket, name) == cli.rows(tmp_path / "whole" / name)

  scored = cli.run("evaluate", f"--checkpoint={RUN}")
  assert scored.returncode == 0, scored.stderr
  last = rows(bucket, "evals.jsonl")[-1]
  assert f"top_1 {last['top_1']:.6f}" in scored.stdout
