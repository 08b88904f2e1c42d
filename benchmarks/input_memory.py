"""Memory of the input pipeline: 10,000 batches, and data larger than memory.

First, the resident set of a process that makes batches of JPEG files, sampled a
hundred times. Then the same for one epoch of a data set that is several times
as large as the memory that the process may still allocate: after the first
batch RLIMIT_DATA is set to what is in use (mostly the stacks of ArrayRecord's
threads) plus `--limit_mib`. At the end the process allocates memory until there
is a MemoryError, which shows that the limit works. The limit does not count the
pages of files that the system caches while it has memory to spare; they are not
in the resident set either, since records are read and not mapped.

usage: python -m benchmarks.input_memory [--batches=10000] [--limit_mib=256]
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
from sklearn import datasets

BATCH, MIB = 4, 2**20
# Records of the data set that is larger than memory, and their size.
RECORDS, RECORD_BYTES = 1024, MIB
PREPROCESS = "decode|inception_crop(64)|flip_lr|keep('image', 'id')"


def field(name: str) -> int:
  """A line of /proc/self/status, in bytes."""
  status = pathlib.Path("/proc/self/status").read_text()
  return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def write(folder: pathlib.Path, padded: bool) -> None:
  """Writes a TFDS data set in ArrayRecord."""
  import tensorflow_datasets as tfds

  photos = datasets.load_sample_images().images
  rng = np.random.default_rng(0)

  def examples():
    for i in range(RECORDS if padded else 256):
      photo = photos[i % 2][i % 50 :, i % 70 :][:200, :300, ::-1]
      data = cv2.imencode(".jpg", photo)[1].tobytes()
      if padded:
        # Bytes after the end of a JPEG are not part of the image.
        data += rng.bytes(RECORD_BYTES - len(data) - 2) + b"\xff\xd9"
      yield i, {"image": data}

  tfds.dataset_builders.store_as_tfds_dataset(
    name="photographs",
    version="1.0.0",
    features=tfds.features.FeaturesDict(
      {"image": tfds.features.Image(encoding_format="jpeg")}
    ),
    split_datasets={"train": list(examples())},
    data_dir=folder,
    file_format="array_record",
    disable_shuffling=True,
  )


def measure(folder: str, count: int, limit_mib: int) -> None:
  """Makes batches in this process and prints how much memory they took."""
  from vit_jax.data import base as sources, pipeline
  from vit_jax.preprocess.pipeline import Pipeline

  batches = pipeline.train_batches(
    sources.open_source("tfds:photographs", "train", folder),
    Pipeline.parse(PREPROCESS),
    batch_size=BATCH,
    seed=0,
    num_steps=count,
  )
  start, seen, ids = time.perf_counter(), [], set()
  for step, batch in enumerate(pipeline.iterate(batches, num_threads=2)):
    if limit_mib and step == 0:
      limit = field("VmData") + limit_mib * MIB
      resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    ids.update(batch["id"].tolist())
    if step % max(1, count // 100) == 0:
      seen.append(field("VmRSS") / MIB)
  tenth = len(seen) // 10
  found = {
    "batches": count,
    "examples_seen": len(ids),
    "rss_mib_after_a_tenth": round(seen[tenth], 1),
    "rss_mib_at_the_end": round(seen[-1], 1),
    "rss_mib_growth_after_a_tenth": round(max(seen[tenth:]) - seen[tenth], 1),
    "images_per_s": round(count * BATCH / (time.perf_counter() - start)),
  }
  if limit_mib:
    found["mib_until_a_memory_error"] = room()
  print(json.dumps(found))


def room() -> int:
  """MiB that this process can allocate, counted by allocating them."""
  taken = []
  with contextlib.suppress(MemoryError):
    while True:
      taken.append(b"1" * MIB)
  return len(taken)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--batches", type=int, default=10_000)
  parser.add_argument("--limit_mib", type=int, default=256)
  parser.add_argument("--measure", metavar="DIR", help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.measure:
    measure(args.measure, args.batches, args.limit_mib)
    return
  epoch = RECORDS // BATCH
  for padded, count, limit in (
    (False, args.batches, 0),
    (True, epoch, args.limit_mib),
  ):
    with tempfile.TemporaryDirectory() as folder:
      subprocess.run(
        [
          *(sys.executable, "-c"),
          "import pathlib; from benchmarks import input_memory as m;"
          f"m.write(pathlib.Path({folder!r}), {padded})",
        ],
        stdout=sys.stderr,
        check=True,
      )
      out = subprocess.run(
        [
          *(sys.executable, "-m", "benchmarks.input_memory"),
          f"--measure={folder}",
          f"--batches={count}",
          f"--limit_mib={limit}",
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
      )
      size = sum(
        path.stat().st_size for path in pathlib.Path(folder).rglob("*-of-*")
      )
    row = {
      "data_set_mib": round(size / MIB),
      "limit_above_first_batch_mib": limit,
    }
    print(json.dumps(row | json.loads(out.stdout)), flush=True)


if __name__ == "__main__":
  main()
