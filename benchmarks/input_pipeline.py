"""The input pipeline's images/s on one core, against tf.data's.

The data are JPEG files cut out of scikit-learn's photographs, as TFDS data
sets: TFRecord for a straightforward tf.data pipeline
(sample_distorted_bounding_box, decode_and_crop_jpeg, resize, flip), and for
ours the same records, converted to ArrayRecord as by `data prepare` and read in
the order of an epoch of ImageNet. Each pipeline makes the same kind of uint8
batches in its own process; both are bound to one core and take turns: a signal
stops a process during the other's turn, and batches made ahead are discarded
before its clock starts. Ratios are of medians; "cpu" is measured in processor
time, which other programs on the machine affect less, and "wall" in real time.
Then, also in turns, two worker processes are compared with one on two cores,
and with two pipelines that share nothing, each on one of the cores, which is
the most that the machine can do. Finally, the cost of reading and shuffling is
measured.

usage: python -m benchmarks.input_pipeline [--rounds=9] [--row=NAME]
"""

import argparse
from collections.abc import Callable, Iterator
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from absl import flags
import cv2
import numpy as np
from sklearn import datasets

from vit_jax.data import base as sources, pipeline
from vit_jax.preprocess.pipeline import Pipeline

PREPROCESS = "decode|inception_crop(224)|flip_lr|keep('image', 'label', 'id')"
# name: images, height, width, JPEG quality, whether tiles keep their sharpness
# (otherwise one crop is enlarged), rows per batch, batches per turn.
ROWS = {
  "500x375": (512, 375, 500, 97, False, 64, 10),
  "2000x1500 soft": (48, 1500, 2000, 85, False, 16, 8),
  "2000x1500 sharp": (48, 1500, 2000, 90, True, 16, 8),
}
# Factor on the batches per turn with workers, which have more batches in
# flight.
LONGER = 3
IMAGENET, MANY = 1_281_167, 14_000_000


def photographs(name: str) -> list[bytes]:
  """The JPEG files of a row, all different."""
  count, h, w, quality, is_sharp, *_ = ROWS[name]
  rng = np.random.default_rng(0)
  photos = [image[..., ::-1] for image in datasets.load_sample_images().images]
  th, tw = (375, 500) if is_sharp else (h, w)

  def tile() -> np.ndarray:
    photo = photos[rng.integers(len(photos))]
    ph = int(photo.shape[0] * (1 if is_sharp else rng.uniform(0.75, 1)))
    pw = ph * tw // th
    y, x = (rng.integers(n + 1) for n in np.subtract(photo.shape[:2], (ph, pw)))
    part = photo[y : y + ph, x : x + pw, :][:, :: rng.choice([-1, 1])]
    return cv2.resize(part, (tw, th), interpolation=cv2.INTER_CUBIC)

  files = []
  for _ in range(count):
    rows = [[tile() for _ in range(w // tw)] for _ in range(h // th)]
    image = np.vstack([np.hstack(tiles) for tiles in rows])
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    files.append(data.tobytes())
  return files


def write(name: str, folder: pathlib.Path) -> int:
  """Writes both data sets of a row; returns the mean size of its files."""
  import tensorflow_datasets as tfds

  from vit_jax.datasets import convert

  files = photographs(name)
  tfds.dataset_builders.store_as_tfds_dataset(
    name="photographs",
    version="1.0.0",
    features=tfds.features.FeaturesDict(
      {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(num_classes=1000),
        "file_name": tfds.features.Text(),
      }
    ),
    split_datasets={
      "train": [
        (i, {"image": data, "label": i, "file_name": f"{i:08}.JPEG"})
        for i, data in enumerate(files)
      ]
    },
    data_dir=folder / "tfrecord",
    file_format="tfrecord",
    disable_shuffling=True,
  )
  convert.convert(
    "tfds:photographs", str(folder / "tfrecord"), str(folder / "array_record")
  )
  return sum(map(len, files)) // len(files)


class Repeated(sources.Source):
  """The examples of another source, repeated to the size of ImageNet."""

  num_classes, class_names = 0, ()
  fingerprint = {"name": "repeated", "version": "1", "split": "train"}

  def __init__(self, source: sources.Source):
    self.source = source

  def __len__(self):
    return IMAGENET

  def __getitem__(self, index):
    return self.source[index % len(self.source)]


def opened(folder: pathlib.Path) -> sources.Source:
  return sources.open_source(
    "tfds:photographs", "train", str(folder / "array_record")
  )


def ours(name: str, folder: pathlib.Path, workers: int) -> Iterator:
  batches = pipeline.train_batches(
    Repeated(opened(folder)),
    Pipeline.parse(PREPROCESS),
    batch_size=ROWS[name][-2],
    seed=0,
    num_steps=10**6,
  )
  return pipeline.iterate(
    batches, prefetch=2, num_threads=1, num_workers=workers
  )


def tf_data(name: str, folder: pathlib.Path) -> Iterator:
  import tensorflow as tf

  def example(record):
    features = tf.io.parse_single_example(
      record,
      {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
      },
    )
    begin, size, _ = tf.image.sample_distorted_bounding_box(
      tf.io.extract_jpeg_shape(features["image"]),
      tf.zeros([0, 0, 4], tf.float32),
      area_range=(0.05, 1),
      min_object_covered=0,
      use_image_if_no_bounding_boxes=True,
    )
    window = tf.concat([begin[:2], size[:2]], 0)
    image = tf.image.decode_and_crop_jpeg(features["image"], window, channels=3)
    image = tf.image.resize(image, (224, 224))
    image = tf.image.random_flip_left_right(image)
    return {"image": tf.cast(image, tf.uint8), "label": features["label"]}

  files = sorted(map(str, (folder / "tfrecord").rglob("*tfrecord-*")))
  dataset = tf.data.TFRecordDataset(files).shuffle(ROWS[name][0]).repeat()
  dataset = dataset.map(example, num_parallel_calls=1)
  dataset = dataset.batch(ROWS[name][-2], drop_remainder=True).prefetch(2)
  options = tf.data.Options()
  options.threading.private_threadpool_size = 1
  options.threading.max_intra_op_parallelism = 1
  return iter(dataset.with_options(options).as_numpy_iterator())


def serve(kind: str, name: str, folder: pathlib.Path) -> None:
  """Takes a turn for each line of input; prints wall and CPU seconds per
  image."""
  flags.FLAGS.mark_as_parsed()
  workers = int(kind) if kind.isdigit() else 0
  stream = (
    tf_data(name, folder) if kind == "tf.data" else ours(name, folder, workers)
  )
  *_, rows, count = ROWS[name]
  count *= LONGER if workers else 1
  for _ in sys.stdin:
    # Discards what is ready: two in each process, three in transit per worker.
    for _ in range(4 + 6 * workers):
      next(stream)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
      next(stream)
    took = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps([t / (rows * count) for t in took]), flush=True)


@contextlib.contextmanager
def stopped(kind: str, name: str, folder: str, cores: set[int]):
  """A process that serves turns, stopped together with its child processes."""
  with start(kind, name, folder, cores) as process:
    try:
      os.killpg(process.pid, signal.SIGSTOP)
      yield process
    finally:
      os.killpg(process.pid, signal.SIGCONT)


def turn(processes: list[subprocess.Popen]) -> list[list[float]]:
  """The times of a turn of all these processes at once; all others are
  stopped."""
  for process in processes:
    os.killpg(process.pid, signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
  found = [json.loads(process.stdout.readline()) for process in processes]
  for process in processes:
    os.killpg(process.pid, signal.SIGSTOP)
  return found


def turns(
  kinds: dict[str, list[tuple[str, set[int]]]],
  name: str,
  folder: str,
  rounds: int,
) -> dict[str, tuple[float, float]]:
  """Median wall and CPU seconds per image of a process of each kind.

  `kinds` has, for each kind, the processes that run at once: which part of the
  benchmark each runs, and the cores that it is bound to.
  """
  with contextlib.ExitStack() as stack:
    groups = {
      kind: [
        stack.enter_context(stopped(part, name, folder, cores))
        for part, cores in parts
      ]
      for kind, parts in kinds.items()
    }
    took = {kind: [] for kind in kinds}
    for k in range(rounds + 1):
      for kind, processes in groups.items():
        found = turn(processes)
        # The first turn warms up.
        if k:
          took[kind] += found
  return {
    kind: tuple(map(statistics.median, zip(*found, strict=True)))
    for kind, found in took.items()
  }


def start(part: str, name: str, folder: str, cores: set[int]):
  """Starts a part of the benchmark in its own process, on `cores`."""
  return subprocess.Popen(
    [
      *(sys.executable, "-m", "benchmarks.input_pipeline", f"--part={part}"),
      *(f"--row={name}", f"--folder={folder}"),
    ],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"},
    preexec_fn=lambda: os.sched_setaffinity(0, cores),
    start_new_session=True,
  )


def per_call(f: Callable[[int], object], count: int) -> float:
  """Median CPU seconds of a call, over seven runs of `count` calls."""
  found = []
  for _ in range(7):
    start = time.thread_time()
    for i in range(count):
      f(i)
    found.append((time.thread_time() - start) / count)
  return statistics.median(found)


def against_tf_data(name: str, folder: str, rounds: int, core: int) -> dict:
  """Our pipeline and tf.data's, both bound to one core."""
  kinds = {kind: [(kind, {core})] for kind in ("0", "tf.data")}
  both = turns(kinds, name, folder, rounds)
  found = {}
  for k, by in enumerate(("wall", "cpu")):
    our, their = both["0"][k], both["tf.data"][k]
    found[f"{by}_ratio_to_tf_data"] = round(their / our, 2)
    found[f"images_per_{by}_s"] = round(1 / our)
    found[f"tf_data_images_per_{by}_s"] = round(1 / their)
  return found


def two_workers(name: str, folder: str, rounds: int, cores: list[int]) -> dict:
  """The speed of two worker processes relative to one, in wall time."""
  first, second, *_ = cores
  kinds = {
    "one": [("1", {first, second})],
    "two": [("2", {first, second})],
    "alone": [("0", {first})],
    "apart": [("0", {first}), ("0", {second})],
  }
  found = turns(kinds, name, folder, rounds)
  wall = {kind: times[0] for kind, times in found.items()}
  return {
    "two_workers_ratio_to_one": round(wall["one"] / wall["two"], 2),
    "two_pipelines_apart_ratio_to_one": round(
      2 * wall["alone"] / wall["apart"], 2
    ),
    "one_worker_images_per_wall_s": round(1 / wall["one"]),
    "two_workers_images_per_wall_s": round(1 / wall["two"]),
    "cores_of_the_main_process": round(found["two"][1] / wall["two"], 3),
  }


def parts(name: str, folder: pathlib.Path) -> dict:
  """The cost of reading and shuffling, and of decoding, cropping and
  flipping."""
  source = opened(folder)
  count = min(len(source), 64)
  examples = [source[i] for i in range(count)]
  preprocess = Pipeline.parse(PREPROCESS)
  rng = np.random.default_rng(0)
  order = pipeline.train_batches(
    Repeated(source), preprocess, batch_size=64, seed=0, num_steps=1
  ).order
  read = per_call(lambda i: source[i], count)
  shuffle = per_call(order.__getitem__, count)
  decode = per_call(lambda i: preprocess.host(examples[i], rng), count)
  return {
    "read_us": round(read * 1e6, 1),
    "shuffle_us": round(shuffle * 1e6, 1),
    "decode_crop_flip_us": round(decode * 1e6, 1),
    "read_and_shuffle_share": round((read + shuffle) / decode, 3),
  }


def start_up() -> dict:
  """Seconds to the first batch of 14 million examples."""
  start = time.perf_counter()
  source = sources.open_source(f"synthetic:{MANY}x8x8x3x1000", "train")
  batches = pipeline.train_batches(
    source,
    Pipeline.parse("decode|flip_lr"),
    batch_size=64,
    seed=0,
    num_steps=10**6,
  )
  next(pipeline.iterate(batches, 900_000))
  return {
    "examples": MANY,
    "first_batch_of_step_900000_s": round(time.perf_counter() - start, 3),
    "shuffle_us": round(per_call(batches.order.__getitem__, 1000) * 1e6, 1),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--row", default="", choices=("", *ROWS))
  parser.add_argument("--part", default="", help=argparse.SUPPRESS)
  parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.part:
    serve(args.part, args.row, pathlib.Path(args.folder))
    return
  cores = sorted(os.sched_getaffinity(0))
  for name in [args.row] if args.row else ROWS:
    with tempfile.TemporaryDirectory() as folder:
      # TFDS prints its progress to standard output.
      with contextlib.redirect_stdout(sys.stderr):
        size = write(name, pathlib.Path(folder))
      row = {"photographs": name, "file_bytes": size, "rounds": args.rounds}
      row |= against_tf_data(name, folder, args.rounds, cores[-1])
      row |= parts(name, pathlib.Path(folder))
      row["load"] = round(os.getloadavg()[0], 1)
      print(json.dumps(row), flush=True)
      if len(cores) > 1 and name == next(iter(ROWS)):
        row = two_workers(name, folder, args.rounds, cores)
        print(json.dumps({"photographs": name, **row}), flush=True)
  print(json.dumps(start_up()))


if __name__ == "__main__":
  main()
