"""Checks that a data set is what it was when it was prepared."""

from collections.abc import Iterator
from concurrent import futures
import pathlib

from array_record.python import array_record_module  # type: ignore[attr-defined]
import numpy as np
import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.data.sources import folder, real, tfds as tfds_source
from vit_jax.datasets import catalog, checksums
from vit_jax.preprocess import decode

_SHOWN = 20
_CHUNK = 256


def verify(name: str, data_dir: str = "", *, images: bool = False) -> str:
  """Checks a data set and describes what was checked.

  For a TFDS data set the records of each shard are compared with the counts
  that TFDS noted, and the SHA-256 of each file with the one noted when it was
  prepared (or noted now, if there was none). Files of a folder or manifest are
  compared with the sizes in the index, and a data set of the catalog with the
  published numbers of examples. With `images` every image is decoded as well.
  See base.open_source for the other arguments.

  Raises:
    ConfigError: no such data set.
    DataError: what is wrong, the first twenty faults by name.
  """
  opened = {
    split: base.open_source(name, split, data_dir)
    for split in base.split_names(name, data_dir)
  }
  checked, faults = [], []
  for what, wrong in _checks(name, data_dir, opened):
    checked.append(what)
    faults += wrong
  if images:
    faults += [fault for s in opened.values() for fault in _unreadable(s)]
    checked.append("all images decoded")
  if faults:
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    raise errors.DataError(
      f"{name}: {len(faults)} faults: {'; '.join(faults[:_SHOWN])}{more}"
    )
  counts = ", ".join(f"{split} {len(s):,}" for split, s in opened.items())
  return f"{name} is whole: {', '.join([*checked, f'examples: {counts}'])}"


def _checks(
  name: str, data_dir: str, opened: dict[str, base.Source]
) -> Iterator[tuple[str, list[str]]]:
  """What is checked of a data set of this kind, and the faults of each."""
  published = catalog.facts(name)
  version = next(iter(opened.values())).fingerprint["version"]
  sizes = {split: len(source) for split, source in opened.items()}
  faults = published.faults(version, sizes) if published else None
  if faults is not None:
    yield "published counts", faults
  built = published.prepare if published else name
  if built.startswith("tfds:"):
    # With the version that was asked for.
    rest = (name if name.startswith("tfds:") else built).partition(":")[2]
    directory = pathlib.Path(tfds_source.find(rest, data_dir))
    counts = list(_wrong_counts(directory))
    yield "records of all shards", counts
    if (directory / checksums.FILE).exists():
      yield "checksums of all files", list(checksums.faults(directory))
    elif not faults and not counts:
      checksums.record(directory)
      yield "checksums of all files noted, there were none", []
  if name.startswith("real:"):
    is_real = real.is_published(name.removeprefix("real:"))
    fault = (
      f"{name} is not the published real.json (SHA-256 {real.SHA256}); download"
      " it again"
    )
    yield "the published labels", [] if is_real else [fault]
  listed = [s for s in opened.values() if isinstance(s, folder.Files)]
  if listed:
    changed = [fault for source in listed for fault in source.changed_files()]
    yield "sizes of all files", changed


def _wrong_counts(directory: pathlib.Path) -> Iterator[str]:
  """Shards whose number of records is not the one that TFDS noted."""
  info = tfds.builder_from_directory(str(directory)).info
  for split in info.splits.values():
    for file, wanted in zip(split.filepaths, split.shard_lengths, strict=True):
      try:
        reader = array_record_module.ArrayRecordReader(str(file))
        count = reader.num_records()
        reader.close()
      except (RuntimeError, ValueError, OSError) as e:
        yield f"{file} cannot be read ({' '.join(str(e).split())[:200]})"
        continue
      if count != wanted:
        yield f"{file} has {count} records, not {wanted}"


def _unreadable(source: base.Source) -> Iterator[str]:
  """The errors of all examples that cannot be read or decoded."""
  to_rgb = decode.Decode()

  def part(first: int) -> list[str]:
    faults = []
    for i in range(first, min(first + _CHUNK, len(source))):
      try:
        to_rgb(source[i], np.random.default_rng(0))
      except errors.DataError as e:
        faults.append(base.describe_error(source, i, e))
    return faults

  with futures.ThreadPoolExecutor() as pool:
    for faults in pool.map(part, range(0, len(source), _CHUNK)):
      yield from faults
