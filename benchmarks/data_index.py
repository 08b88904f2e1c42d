"""How long a folder of 14 million images takes to open, from its index.

There are no images: the index is written as if there were, with as many class
folders as in ImageNet-21k, which do exist and are checked. A separate process
opens the index, with none of it cached in memory, and gets the order of the
first batch.

usage: python -m benchmarks.data_index [--dir=DIR] >> results/benchmarks/\
data_index.jsonl
"""

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from vit_jax.data import base as sources, index, pipeline
from vit_jax.preprocess.pipeline import Pipeline

ROWS, CLASSES = 14_197_122, 21_841
BATCH = 4096


def write(root: pathlib.Path) -> None:
  """The index of ROWS images n00000000/0000000.JPEG, ..., by class."""
  labels = (np.arange(ROWS) % CLASSES).astype(np.int32)
  folders = [f"n{c:08}" for c in range(CLASSES)]
  for folder in folders:
    (root / folder).mkdir()
  names = np.empty((ROWS, len("n00000000/0000000.JPEG")), np.uint8)
  names[:] = np.frombuffer(b"n00000000/0000000.JPEG", np.uint8)
  for column, numbers in ((8, labels), (16, np.arange(ROWS) // CLASSES)):
    digits = numbers.copy()
    while digits.any():
      names[:, column] += (digits % 10).astype(np.uint8)
      digits //= 10
      column -= 1
  ends = np.arange(1, ROWS + 1) * names.shape[1]
  columns = {
    "names": names.reshape(-1),
    "ends": ends,
    "sizes": np.full(ROWS, 110_000),
    "labels": labels,
    "label_ends": np.zeros(0, np.int64),
  }
  meta = {
    "splits": {"train": (0, ROWS)},
    "digests": {"train": hashlib.sha256(names).hexdigest()},
    "class_names": folders,
    "num_classes": CLASSES,
    "num_labels": 0,
    "remarks": dataclasses.asdict(index.Remarks()),
  }
  file = root / index.FOLDER / "folder"
  # Made before the folders are checked, since it changes the root's time.
  file.parent.mkdir()
  watched = [index.watch(str(root), path) for path in ("", *folders)]
  index.write(str(file), columns, meta, watched)


def forget(file: pathlib.Path) -> None:
  """Asks the system to drop a file from its cache."""
  with file.open("rb") as f:
    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(root: str) -> None:
  """Opens the folder in this process and prints what it took."""
  start = time.perf_counter()
  source = sources.open_source(f"folder:{root}", "train")
  digest = source.fingerprint["files"]
  opened = time.perf_counter()
  batches = pipeline.train_batches(
    source, Pipeline.parse("decode"), batch_size=BATCH, seed=0, num_steps=10
  )
  first = [batches.order[g] for g in range(BATCH)]
  ordered = time.perf_counter()
  labels = [source.label(i) for i in first]
  read = time.perf_counter()
  row = {
    "rows": len(source),
    "classes_in_first_batch": len({*labels}),
    "digest": digest[:8],
    "open_and_fingerprint_s": round(opened - start, 3),
    "order_of_first_batch_s": round(ordered - opened, 3),
    "labels_of_first_batch_s": round(read - ordered, 3),
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
  }
  print(json.dumps(row))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--dir", default=None, help="where 1 GB of space is free")
  parser.add_argument("--measure", default="", help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.measure:
    measure(args.measure)
    return
  with tempfile.TemporaryDirectory(dir=args.dir) as folder:
    root = pathlib.Path(folder)
    write(root)
    file = root / index.FOLDER / "folder"
    forget(file)
    command = [sys.executable, "-m", "benchmarks.data_index"]
    done = subprocess.run(
      [*command, f"--measure={root}"],
      check=True,
      capture_output=True,
      text=True,
    )
    row = json.loads(done.stdout)
    print(json.dumps({**row, "index_bytes": file.stat().st_size}))


if __name__ == "__main__":
  main()
