"""Writes one shard of a data set: what a process or a Beam worker does."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import dataclasses
import json
import os
import pathlib
from typing import Any

from array_record.python import array_record_module  # type: ignore[attr-defined]
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from vit_jax.core import errors, files
from vit_jax.datasets import checksums, planned

# Single records, for random access; uncompressed, since encoded images do not
# shrink and would take longer to read.
WRITER = "group_size:1,uncompressed"
# Images that are read or downloaded at the same time.
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Job:
  """A shard to be written; can be pickled.

  Attributes:
    folder: folder of the data set, which holds its features in TFDS's form.
    file: name of the shard.
    plan: the file that lists its items.
    read, skip: see write.Recipe.
  """

  folder: str
  file: str
  plan: str
  read: Callable[[planned.Item], dict[str, Any]]
  skip: bool

  @property
  def report(self) -> pathlib.Path:
    return pathlib.Path(f"{self.plan}.done")


def done(job: Job) -> dict[str, Any] | None:
  """The report of a finished shard: examples, bytes, skipped, file; or None."""
  if not (pathlib.Path(job.folder) / job.file).exists():
    return None
  try:
    return json.loads(job.report.read_text())
  except (FileNotFoundError, ValueError):
    return None


def count(job: Job) -> int:
  """Items of a shard."""
  with open(job.plan, "rb") as f:
    return sum(1 for _ in f)


def write(job: Job) -> int:
  """Writes a shard, completely or not at all; returns its number of items.

  Raises:
    DataError: an example cannot be read.
    StorageError: no room.
  """
  items = planned.read(job.plan)
  features: Any = tfds.features.FeatureConnector.from_config(job.folder)
  serializer = example_serializer.ExampleSerializer(
    features.get_serialized_info()
  )
  final = pathlib.Path(job.folder) / job.file
  part = final.with_name(f".{job.file}.part")
  result: dict[str, Any] = {"examples": 0, "bytes": 0, "skipped": []}
  # ArrayRecord raises a RuntimeError where the disk is full.
  with writing(part, OSError, RuntimeError):
    try:
      writer = array_record_module.ArrayRecordWriter(str(part), WRITER)
      with contextlib.closing(writer):
        for example in _examples(job, items, result["skipped"]):
          record = serializer.get_tf_example(
            features.encode_example(example)
            # Otherwise the order of a map differs between processes.
          ).SerializeToString(deterministic=True)
          writer.write(record)
          result["examples"] += 1
          result["bytes"] += len(record)
      result["file"] = checksums.of_file(part)
      files.write(job.report, json.dumps(result))
      os.replace(part, final)
    finally:
      part.unlink(missing_ok=True)
  return len(items)


def _examples(
  job: Job, items: list[planned.Item], skipped: list[dict[str, str]]
) -> Iterator[dict[str, Any]]:
  """The examples in the order of their items, some of them read ahead."""
  threads = futures.ThreadPoolExecutor(_THREADS)
  ahead: deque[tuple[planned.Item, futures.Future]] = deque()
  rest = iter(items)
  try:
    while True:
      while len(ahead) < 2 * _THREADS and (item := next(rest, None)):
        ahead.append((item, threads.submit(job.read, item)))
      if not ahead:
        return
      item, future = ahead.popleft()
      try:
        yield future.result()
      except errors.DataError as e:
        if not job.skip:
          raise errors.DataError(
            f"{e}; with --on_error=skip such examples are left out and reported"
          ) from e
        skipped.append({"key": item["key"], "why": str(e)})
  finally:
    # Do not wait for a server that is still sending.
    threads.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def writing(path: pathlib.Path, *kinds: type[Exception]) -> Iterator[None]:
  """Turns errors of these kinds into one that says what cannot be written."""
  try:
    yield
  except kinds as e:
    reason = " ".join(str(e).split())
    raise errors.StorageError(
      f"{path} cannot be written: {reason[:200]}; make room and run the same"
      " command to go on"
    ) from e
