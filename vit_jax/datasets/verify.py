"""Checks that a data set is what it was when it was prepared."""

from collections.abc import Iterator, Mapping
from concurrent import futures
import hashlib
import json
import pathlib
from typing import Any

from array_record.python import array_record_module
import numpy as np
import tensorflow_datasets as tfds

from vit_jax.core import errors, files as files_lib
from vit_jax.data import files, real, sources
from vit_jax.data.sources import tfds as tfds_source
from vit_jax.datasets import catalog
from vit_jax.preprocess import decode

CHECKSUMS = "vit_jax_checksums.json"
_SHOWN = 20
_CHUNK = 256


def record(
  directory: str, known: Mapping[str, dict[str, Any]] | None = None
) -> None:
  """Notes size and SHA-256 of every file of a built TFDS data set.

  Args:
    directory: of a version.
    known: by file name, of files that need not be read again.
  """
  folder, known = pathlib.Path(directory), known or {}
  there = sorted(f for f in folder.iterdir() if _counts(f))
  sums = {f.name: known.get(f.name) or _sums(f) for f in there}
  files_lib.write(folder / CHECKSUMS, json.dumps(sums, indent=2) + "\n")


def _counts(file: pathlib.Path) -> bool:
  ours = file.name == CHECKSUMS or file.name.startswith(".")
  return file.is_file() and not ours


def _sums(file: pathlib.Path) -> dict[str, Any]:
  with file.open("rb") as f:
    digest = hashlib.file_digest(f, "sha256").hexdigest()
  return {"bytes": file.stat().st_size, "sha256": digest}


def verify(name: str, data_dir: str = "", *, images: bool = False) -> str:
  """Checks a data set; says what was checked.

  A TFDS data set: records of each shard against the counts that TFDS noted,
  and each file's SHA-256 against the one noted when it was prepared (noted
  now where it was not). Files of a folder or manifest: their sizes against
  the index. One of the catalog: its examples against the published counts.

  Args:
    name: of the data set; see sources.open_source.
    data_dir: where TFDS data sets are.
    images: whether every image is decoded as well.

  Raises:
    ConfigError: no such data set.
    DataError: what is wrong, the first twenty by name.
  """
  opened = {
    split: sources.open_source(name, split, data_dir)
    for split in sources.split_names(name, data_dir)
  }
  said, wrong = [], []
  published = catalog.facts(name)
  if published and _same_major(published, opened):
    wrong += _unpublished(published, opened)
    said.append("published counts")
  built = published.prepare if published else name
  if built.startswith("tfds:"):
    # With the version that was asked for.
    rest = name if name.startswith("tfds:") else built
    _verify_tfds(
      tfds_source.find(rest.partition(":")[2], data_dir), said, wrong
    )
  if name.startswith("real:"):
    if not real.is_published(name.removeprefix("real:")):
      wrong.append(
        f"{name} is not the published real.json (SHA-256 {real.SHA256});"
        " download it again"
      )
    said.append("the published labels")
  for source in opened.values():
    if isinstance(source, files.Files):
      wrong += source.wrong_sizes()
  if any(isinstance(s, files.Files) for s in opened.values()):
    said.append("sizes of all files")
  if images:
    wrong += [e for s in opened.values() for e in _unreadable(s)]
    said.append("all images decoded")
  if wrong:
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    raise errors.DataError(
      f"{name}: {len(wrong)} faults: {'; '.join(wrong[:_SHOWN])}{more}"
    )
  counts = ", ".join(f"{split} {len(s):,}" for split, s in opened.items())
  return f"{name} is whole: {', '.join([*said, f'examples: {counts}'])}"


def _verify_tfds(directory: str, said: list[str], wrong: list[str]) -> None:
  """Adds what was checked of a TFDS data set, and what is wrong."""
  wrong += _wrong_counts(directory)
  said.append("records of all shards")
  if (pathlib.Path(directory) / CHECKSUMS).exists():
    wrong += _wrong_sums(pathlib.Path(directory))
    said.append("checksums of all files")
  elif not wrong:
    record(directory)
    said.append("checksums of all files noted, there were none")


def _same_major(
  published: catalog.Facts, opened: dict[str, sources.Source]
) -> bool:
  """Whether TFDS's versions promise that the examples are the same."""
  version = next(iter(opened.values())).fingerprint["version"]
  return version.partition(".")[0] == published.version.partition(".")[0]


def _unpublished(
  published: catalog.Facts, opened: dict[str, sources.Source]
) -> Iterator[str]:
  """Splits that have another number of examples than was published."""
  for split, source in opened.items():
    wanted = published.splits.get(split, len(source))
    if len(source) != wanted:
      yield f"split {split} has {len(source):,} examples, not {wanted:,}"


def _wrong_counts(directory: str) -> Iterator[str]:
  """Shards that hold another number of records than TFDS noted."""
  info = tfds.builder_from_directory(directory).info
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


def _wrong_sums(directory: pathlib.Path) -> Iterator[str]:
  """Files that are not as they were when the data set was prepared."""
  try:
    noted = dict(json.loads((directory / CHECKSUMS).read_text()))
  except (OSError, ValueError) as e:
    yield f"{directory / CHECKSUMS} cannot be read ({e})"
    return
  there = {f.name for f in directory.iterdir() if _counts(f)}
  yield from (f"{directory / n} is missing" for n in sorted({*noted} - there))
  yield from (f"{directory / n} was added" for n in sorted(there - {*noted}))
  for name in sorted(there & {*noted}):
    if _sums(directory / name) != noted[name]:
      yield f"{directory / name} has another size or checksum than at first"


def _unreadable(source: sources.Source) -> Iterator[str]:
  """The errors of all examples that cannot be read or decoded."""
  to_rgb = decode.Decode()

  def part(first: int) -> list[str]:
    found = []
    for i in range(first, min(first + _CHUNK, len(source))):
      try:
        to_rgb(source[i], np.random.default_rng(0))
      except errors.DataError as e:
        found.append(sources.located(source, i, e))
    return found

  with futures.ThreadPoolExecutor() as pool:
    for found in pool.map(part, range(0, len(source), _CHUNK)):
      yield from found
