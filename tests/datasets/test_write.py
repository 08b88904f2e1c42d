"""Writing data sets: the same whatever the workers, and never by halves."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import base, progress
from vit_jax.datasets import (
  listed,
  planned,
  prepare,
  shards,
  verify,
  write,
)


@pytest.fixture
def small_shards(monkeypatch):
  """Shards of a few images, so that there are several."""
  monkeypatch.setattr(planned, "_SHARD_BYTES", 2000)
  monkeypatch.setattr(planned, "_LEAST_ITEMS", 8)


@pytest.fixture
def root(tmp_path):
  return trees.classes(tmp_path / "images")


def build(root, data_dir, **options):
  return prepare.prepare(
    f"folder:{root}",
    str(data_dir),
    options=prepare.Options(out="photos", **options),
  )


def content(data_dir, name="tfds:photos"):
  source = base.open_source(name, "train", str(data_dir))
  return [
    (e["file_name"].decode(), e["image"], int(e["label"]))
    for e in (source[i] for i in range(len(source)))
  ]


def digests(data_dir):
  """All files but the ones that hold a time."""
  return {
    path.name: path.read_bytes()
    for path in (data_dir / "photos/1.0.0").iterdir()
    if path.is_file()
  }


def test_workers_change_nothing(root, small_shards, tmp_path):
  said = build(root, tmp_path / "one", workers=1)
  assert said == (
    f"tfds:photos written to {tmp_path}/one/photos/1.0.0 (examples: train 100)"
  )
  build(root, tmp_path / "two", workers=2)
  assert digests(tmp_path / "one") == digests(tmp_path / "two")
  info = tfds.builder("photos", data_dir=str(tmp_path / "one")).info
  assert info.splits["train"].num_shards == 12
  verified = verify.verify("tfds:photos", str(tmp_path / "one"), images=True)
  assert "checksums of all files, all images decoded" in verified
  wanted = sorted(
    (f"{name}/{i}.png", trees.png(c, i), c)
    for c, (name, count) in enumerate(trees.COUNTS.items())
    for i in range(count)
  )
  assert sorted(content(tmp_path / "one")) == wanted


def test_the_number_of_shards_does_not_change_the_order(
  root, tmp_path, monkeypatch
):
  build(root, tmp_path / "one", workers=1)
  monkeypatch.setattr(planned, "_SHARD_BYTES", 2000)
  monkeypatch.setattr(planned, "_LEAST_ITEMS", 8)
  build(root, tmp_path / "many", workers=1)
  assert content(tmp_path / "one") == content(tmp_path / "many")
  labels = [label for _, _, label in content(tmp_path / "one")]
  # Half of the images are of the third class, of any part of the order.
  assert 16 <= np.sum(np.equal(labels[:50], 2)) <= 34


def test_it_goes_on_where_it_was_interrupted(
  root, small_shards, tmp_path, monkeypatch
):
  build(root, tmp_path / "whole", workers=1)
  data_dir, written = tmp_path / "data", []

  def interrupted(job):
    if len(written) == 5:
      signal.raise_signal(signal.SIGTERM)
    written.append(job.file)
    return real(job)

  real = shards.write
  monkeypatch.setattr(shards, "write", interrupted)
  with pytest.raises(errors.Interrupted) as caught:
    build(root, data_dir, workers=1)
  assert caught.value.exit_code == 143
  assert "run the same command to go on" in str(caught.value)
  with pytest.raises(errors.ConfigError, match="is not prepared"):
    content(data_dir)
  # A shard without its report, and half of one.
  work = data_dir / "photos/1.0.0.incomplete"
  (work / ".photos-train.array_record-00005-of-00012.part").write_bytes(b"half")
  first = written[0].replace("photos-", "").replace(".array_record", "")
  (data_dir / f"photos/1.0.0.plan/shards/{first}.done").unlink()
  done = written[:]
  written.clear()
  monkeypatch.setattr(
    shards, "write", lambda job: written.append(job.file) or real(job)
  )
  build(root, data_dir, workers=1)
  assert not {*written} & {*done[1:]}
  assert done[0] in written and len(written) == 8
  assert digests(data_dir) == digests(tmp_path / "whole")
  assert [p.name for p in (data_dir / "photos").iterdir()] == ["1.0.0"]


def test_other_work_is_not_mixed_in(root, small_shards, tmp_path, monkeypatch):
  def fail(job):
    raise errors.DataError("no")

  with monkeypatch.context() as patch:
    patch.setattr(shards, "write", fail)
    with pytest.raises(errors.DataError):
      build(root, tmp_path, workers=1)
  (root / "ant/new.png").write_bytes(trees.png(7))
  with pytest.raises(errors.ConfigError, match="holds unfinished work on"):
    build(root, tmp_path, workers=1)


def test_a_second_writer_is_refused(root, tmp_path):
  plan = tmp_path / "photos/1.0.0.plan"
  with (
    write.locked(plan),
    pytest.raises(errors.DataError, match="by another process"),
  ):
    build(root, tmp_path, workers=1)


def test_too_little_room_is_said_before(root, tmp_path, monkeypatch):
  usage = shutil.disk_usage(tmp_path)._replace(free=1000)
  monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
  with pytest.raises(
    errors.StorageError, match=r"0\.0 MB free, and 0\.0 MB ar"
  ):
    build(root, tmp_path, workers=1)


def test_a_disk_that_becomes_full(root, tmp_path):
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  files = {f"ant/{i}.png": trees.png(i) * 40 for i in range(900, 930)}
  trees.write(root, files)
  resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
  try:
    with pytest.raises(errors.StorageError) as caught:
      build(root, tmp_path, workers=1)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  assert "cannot be written: " in str(caught.value)
  assert "File too large" in str(caught.value)
  assert "\n" not in str(caught.value)
  assert not list(tmp_path.glob("photos/*.incomplete/.*.part"))
  build(root, tmp_path, workers=1)
  assert len(content(tmp_path)) == 130


BAD = {
  "ant/bad.png": b"<html>not found</html>",
  "bee/cut.png": trees.png(1)[:-20],
}


def test_images_that_cannot_be_read(root, small_shards, tmp_path):
  trees.write(root, BAD)
  for workers in (1, 2):
    with pytest.raises(errors.DataError) as caught:
      build(root, tmp_path, workers=workers)
    assert "the image is" in str(caught.value)
    assert "--on_error=skip" in str(caught.value)
  said = build(root, tmp_path, workers=1, on_error="skip")
  assert "train 100; 2 of 102 left out, the first" in said
  assert len(content(tmp_path)) == 100
  lines = (tmp_path / "photos/1.0.0" / write.SKIPPED).read_text().splitlines()
  reports = [json.loads(line) for line in lines]
  assert {r["key"] for r in reports} == {*BAD}
  assert all(r["split"] == "train" and r["why"] for r in reports)


def test_a_worker_that_is_killed(root, small_shards, tmp_path, monkeypatch):
  trees.write(root, {"ant/last.png": trees.png(5)})
  made = listed.folder(str(root), "photos", "1.0.0", str(tmp_path), "raise")
  with pytest.raises(errors.DataError, match="was killed"):
    write.write(dataclasses.replace(made, read=_die), workers=2)


def _die(item):
  os.kill(os.getpid(), signal.SIGKILL)


def test_ctrl_c_ends_all_processes(root, small_shards, tmp_path):
  """As at a terminal: the signal goes to the whole group."""
  trees.write(root, {f"ant/{i}.png": trees.png(i) for i in range(1000, 1400)})
  code = (
    "import sys, time\n"
    "from vit_jax.datasets import planned\n"
    "from vit_jax.cli import main\n"
    "planned._SHARD_BYTES = 3000\n"
    "planned._LEAST_ITEMS = 8\n"
    "if __name__ == '__main__':\n"
    "  sys.exit(main.main(sys.argv[1:]))\n"
  )
  script = tmp_path / "script.py"
  script.write_text(code)
  with subprocess.Popen(
    [
      sys.executable,
      str(script),
      "data",
      "prepare",
      f"folder:{root}",
      "--out=photos",
      "--workers=2",
      f"--data_dir={tmp_path}",
    ],
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  ) as process:
    assert "(45 to be written)" in process.stderr.readline()
    # While the workers start, which is when they are easily hurt.
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=30)[1]
  assert process.returncode == 130
  assert said.splitlines()[-1].startswith("Interrupted: interrupted; finished")
  assert "Traceback" not in said
  # Python's own resource tracker notices a little later.
  end = time.monotonic() + 10
  with pytest.raises(ProcessLookupError):
    while time.monotonic() < end:
      os.killpg(process.pid, 0)
      time.sleep(0.05)


def test_the_number_of_shards():
  assert planned.number_of_shards(10, 1) == 1
  assert planned.number_of_shards(1_281_167, 147_897_477_120) == 551
  assert planned.number_of_shards(14_197_122, 1_310_000_000_000) == 4881
  assert planned.number_of_shards(300_000_000, 30 * 10**12) == 10_000
  # A few huge images do not have a shard each.
  assert planned.number_of_shards(100, 2**40) == 1


def test_progress_says_how_long_still(monkeypatch, capsys):
  now = [0.0]
  monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
  said = progress.Progress("written", 1000)
  said.add(100)
  now[0] = 10.0
  said.add(100)
  said.add(100)
  assert (
    capsys.readouterr().err == "written 200 of 1,000 images, 20/s, 0:40 left\n"
  )
