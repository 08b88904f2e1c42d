"""Converts TFRecord data sets to ArrayRecord, shard by shard."""

from collections.abc import Iterator
from concurrent import futures
import json
import os
import pathlib
import shutil
from typing import Any

from array_record.python import array_record_module  # type: ignore[attr-defined]
import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.data.sources import tfds as tfds_source
from vit_jax.datasets import checksums, shards, write

_INFO = "dataset_info.json"
_THREADS = 8


def is_there(rest: str, from_dir: str) -> bool:
  """Whether TFDS built the data set in this folder."""
  try:
    tfds_source.find(rest, from_dir)
  except errors.ConfigError:
    return False
  return True


def convert(name: str, from_dir: str, data_dir: str) -> str:
  """Writes a data set that TFDS built in TFRecord again in ArrayRecord.

  It continues after an interruption: finished shards are kept in
  VERSION.incomplete, which is renamed at the end. The result takes as much
  room as the data set, and goes into another folder than `from_dir`. See
  `prepare` for the arguments.

  Raises:
    ConfigError: no such data set, or not in TFRecord.
    DataError: a shard is damaged or has another number of records than TFDS
      noted.
  """
  rest = name.partition(":")[2]
  old = pathlib.Path(tfds_source.find(rest, from_dir))
  info: Any = tfds.builder_from_directory(str(old)).info
  if info.file_format != tfds.core.FileFormat.TFRECORD:
    raise errors.ConfigError(
      f"{{name}} in {old} is in {info.file_format.value}, not in tfrecord",
      {"name": name},
    )
  inner = old.relative_to(str(tfds_source.root(from_dir)))
  new = pathlib.Path(tfds_source.root(data_dir)) / inner
  if new.exists():
    raise errors.ConfigError(
      f"{{name}} is already in {new}; choose another --data_dir",
      {"name": name},
    )
  jobs = [
    (pathlib.Path(file), count)
    for split in info.splits.values()
    for file, count in zip(split.filepaths, split.shard_lengths, strict=True)
  ]
  with write.work_folders(new, info.name) as (work, _):
    with futures.ThreadPoolExecutor(_THREADS) as pool:
      list(pool.map(lambda job: _shard(job[0], job[1], work), jobs))
    records = {file.name for file, _ in jobs}
    skip = {*records, checksums.FILE, _INFO}
    for file in old.iterdir():
      if file.is_file() and file.name not in skip:
        shutil.copy(file, work / file.name)
    meta = json.loads((old / _INFO).read_text())
    meta["fileFormat"] = tfds_source.FORMAT.value
    (work / _INFO).write_text(json.dumps(meta, indent=2))
    checksums.record(work)
  total = sum(count for _, count in jobs)
  return f"{name} converted to {new} ({total:,} examples, {len(jobs)} shards)"


def _shard(old: pathlib.Path, count: int, folder: pathlib.Path) -> None:
  """Converts a shard that does not exist yet, completely or not at all."""
  name = old.name.replace(".tfrecord-", f".{tfds_source.FORMAT.value}-")
  if (folder / name).exists():
    return
  part = folder / f".{name}.part"
  writer = array_record_module.ArrayRecordWriter(str(part), shards.WRITER)
  records = 0
  for example in _examples(old):
    writer.write(example)
    records += 1
  writer.close()
  if records != count:
    raise errors.DataError(f"{old} has {records} records, not {count}")
  os.replace(part, folder / name)


def _examples(file: pathlib.Path) -> Iterator[bytes]:
  # Not at the top: it takes seconds to import.
  import tensorflow as tf

  try:
    records: Any = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    yield from records
  except tf.errors.OpError as e:
    reason = " ".join(e.message.split())
    raise errors.DataError(f"{file} cannot be read: {reason[:200]}") from e
