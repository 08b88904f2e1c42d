"""Writes one shard of a data set: what a process or a Beam worker does."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

from array_record.python import array_record_module
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from vit_jax.core import errors, files
from vit_jax.datasets import planned

# Each record alone, for random access; as it is, since encoded images do not
# shrink and take longer to read.
WRITER = "group_size:1,uncompressed"
# Images that are read, or fetched, at the same time.
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Job:
  """A shard to write; can be pickled.

  Attributes:
    folder: where it goes, with the data set's features in TFDS's form.
    file: its name.
    plan: the file of its items.
    read: makes the example of an item.
    skip: whether an example that cannot be read is left out.
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
  """What was written (examples, bytes, skipped, file), or None."""
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
  """Writes a shard; it is there whole or not at all. Returns its items.

  Raises:
    DataError: an example cannot be read.
    StorageError: no room.
  """
  items = planned.read(job.plan)
  features = tfds.features.FeatureConnector.from_config(job.folder)
  serializer = example_serializer.ExampleSerializer(
    features.get_serialized_info()
  )
  final = pathlib.Path(job.folder) / job.file
  part = final.with_name(f".{job.file}.part")
  result: dict[str, Any] = {"examples": 0, "bytes": 0, "skipped": []}
  with _storage(part):
    writer = array_record_module.ArrayRecordWriter(str(part), WRITER)
    try:
      for example in _examples(job, items, result["skipped"]):
        record = serializer.get_tf_example(
          features.encode_example(example)
          # A map's order is otherwise another in each process.
        ).SerializeToString(deterministic=True)
        writer.write(record)
        result["examples"] += 1
        result["bytes"] += len(record)
    finally:
      writer.close()
    result["file"] = _sums(part)
    files.write(job.report, json.dumps(result))
    os.replace(part, final)
  return len(items)


def _examples(
  job: Job, items: list[planned.Item], skipped: list[dict[str, str]]
) -> Iterator[dict[str, Any]]:
  """The examples in the order of their items, read some ahead."""
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
    # Nobody waits for what a host has still to send.
    threads.shutdown(wait=False, cancel_futures=True)


def _sums(file: pathlib.Path) -> dict[str, Any]:
  with file.open("rb") as f:
    digest = hashlib.file_digest(f, "sha256").hexdigest()
  return {"bytes": file.stat().st_size, "sha256": digest}


@contextlib.contextmanager
def _storage(part: pathlib.Path) -> Iterator[None]:
  """A disk that is full, in one line, with what was half written removed."""
  try:
    yield
  except (OSError, RuntimeError) as e:
    with contextlib.suppress(OSError):
      part.unlink(missing_ok=True)
    # RuntimeError is how ArrayRecord says it.
    reason = " ".join(str(e).split())
    raise errors.StorageError(
      f"{part} cannot be written: {reason[:200]}; make room and run the same"
      " command to go on"
    ) from e
