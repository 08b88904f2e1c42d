"""Writes a data set in TFDS's form, shard by shard, on many processes.

First a plan: what goes into which shard, one file of JSON lines a shard, in
the folder VERSION.plan. An example's place is a hash of its key, so neither
the order of a listing nor the number of shards, processes or machines changes
the order of a data set. Then the shards, each whole or not at all, into
VERSION.incomplete, which is renamed at the end. The same command goes on where
it was interrupted.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
from typing import Any

from etils import epath
import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_info, naming

from vit_jax.core import errors, files
from vit_jax.data.sources import tfds as tfds_source
from vit_jax.datasets import planned, pool, progress, shards, verify

SKIPPED = "skipped.jsonl"
# Of a few hundred images' examples beside the images themselves.
_OVERHEAD = 1.02


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A data set to write.

  Attributes:
    info: its name, version and features, and in `data_dir` where it goes.
    source: what it is made from, with all that must be the same when the work
      goes on.
    listing: gives split and item of each example, as JSON: "key" is unique in a
      split, "size" its bytes where known; all else is for `read`. Raises
      DataError or ConfigError where what is there is not what should be.
    read: makes the example of an item; can be pickled. Raises DataError.
    metadata: beside the features, such as {"num_labels": 5}.
    on_error: what an example that cannot be read does: "raise" ends the work,
      "skip" leaves it out and reports it.
  """

  info: tfds.core.DatasetInfo
  source: str
  listing: Callable[[], Iterator[tuple[str, planned.Item]]]
  read: Callable[[planned.Item], dict[str, Any]]
  metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  on_error: str = "raise"


def identity(name: str, version: str, data_dir: str) -> Any:
  """What stands in a DatasetInfo for the builder that a data set has not."""
  return dataset_info.DatasetIdentity(
    name=name,
    version=tfds.core.Version(version),
    data_dir=str(tfds_source.root(data_dir) / name / version),
    module_name="",
  )


def write(recipe: Recipe, *, workers: int = 0, beam: str = "") -> str:
  """Writes a data set; says what was written.

  Args:
    recipe: the data set.
    workers: processes; 0 is one for each CPU. They do not change the result.
    beam: options of an Apache Beam pipeline that writes the shards instead,
      such as "--runner=DirectRunner".

  Raises:
    ConfigError: work on it began with another source, or somebody else's files
      are where it goes.
    DataError: an example cannot be read, or another process writes the same.
    StorageError: no room.
    Interrupted: what is done stays.
  """
  new = pathlib.Path(recipe.info.data_dir)
  work, plan = (new.with_name(new.name + s) for s in (".incomplete", ".plan"))
  refuse_foreign(new)
  refuse_foreign(work, rf"{recipe.info.name}-.*|.*\.(json|jsonl|txt)")
  refuse_foreign(plan, planned.NAMES)
  with pool.interruptible(), _storage(new), locked(plan):
    work.mkdir(parents=True, exist_ok=True)
    facts = planned.open_or_make(str(plan), recipe.source, recipe.listing)
    recipe.info.features.save_config(str(work))
    jobs = [
      shards.Job(
        folder=str(work),
        file=f"{recipe.info.name}-{file}",
        plan=str(plan / "shards" / list_),
        read=recipe.read,
        skip=recipe.on_error == "skip",
      )
      for list_, file in zip(
        facts.files(), facts.files(tfds_source.FORMAT.value), strict=True
      )
    ]
    todo = [job for job in jobs if shards.done(job) is None]
    _say(recipe, facts, work, len(jobs), len(todo))
    if beam:
      from vit_jax.datasets import beam as beam_lib

      beam_lib.run(todo, beam)
    else:
      pool.run(todo, workers or os.cpu_count() or 1)
    skipped = _finish(recipe, facts, jobs, work)
    work.rename(new)
  shutil.rmtree(plan)
  return _report(recipe, new, facts, skipped)


def _say(
  recipe: Recipe,
  facts: planned.Facts,
  work: pathlib.Path,
  count: int,
  todo: int,
) -> None:
  """Says what will be written; refuses to begin without room for it."""
  left = int(facts.size * _OVERHEAD * todo / count)
  free = shutil.disk_usage(work).free
  progress.say(
    f"{recipe.info.full_name}: {facts.text()}, {_gb(facts.size)} of images in"
    f" {count} shards ({todo} to be written) to {work.parent};"
    f" {_gb(free)} are free there"
  )
  if free < left:
    raise errors.StorageError(
      f"{work.parent} has {_gb(free)} free, and {_gb(left)} are needed; make"
      " room and run the same command, or choose another --data_dir"
    )


def _finish(
  recipe: Recipe,
  facts: planned.Facts,
  jobs: list[shards.Job],
  work: pathlib.Path,
) -> list[dict[str, str]]:
  """Writes TFDS's metadata and the checksums; returns what was left out."""
  info = recipe.info
  results = [shards.done(job) for job in jobs]
  splits, first, skipped = [], 0, []
  for name, number in facts.shards.items():
    mine = results[first : first + number]
    first += number
    skipped += [{"split": name, **s} for r in mine for s in r["skipped"]]
    template = naming.ShardedFileTemplate(
      data_dir=epath.Path(info.data_dir),
      dataset_name=info.name,
      split=name,
      filetype_suffix=tfds_source.FORMAT.value,
    )
    splits.append(
      tfds.core.SplitInfo(
        name=name,
        shard_lengths=[r["examples"] for r in mine],
        num_bytes=sum(r["bytes"] for r in mine),
        filename_template=template,
      )
    )
  info.set_file_format(tfds_source.FORMAT)
  info.set_splits(tfds.core.SplitDict(splits))
  info.write_to_directory(str(work))
  if recipe.metadata:
    tfds.core.MetadataDict(recipe.metadata).save_metadata(str(work))
  if skipped:
    lines = "".join(json.dumps(s) + "\n" for s in skipped)
    (work / SKIPPED).write_text(lines)
  sums = {j.file: r["file"] for j, r in zip(jobs, results, strict=True)}
  verify.record(str(work), sums)
  return skipped


def _report(
  recipe: Recipe,
  new: pathlib.Path,
  facts: planned.Facts,
  skipped: list[dict[str, str]],
) -> str:
  sizes = ", ".join(
    f"{name} {split.num_examples}" for name, split in recipe.info.splits.items()
  )
  left_out = ""
  if skipped:
    left_out = (
      f"; {len(skipped)} of {facts.count} left out, the first"
      f" {skipped[0]['why']}; all are in {SKIPPED}"
    )
  return (
    f"tfds:{recipe.info.full_name.rpartition('/')[0]} written to {new}"
    f" (examples: {sizes}{left_out})"
  )


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
  """Two processes that write the same data set would spoil it."""
  with files.locked(folder / ".lock") as lock:
    if lock is None:
      raise errors.DataError(
        f"{folder.parent} is being written by another process; wait for it"
      )
    yield


def refuse_foreign(folder: pathlib.Path, ours: str = "") -> None:
  """Refuses a folder whose files were not made while a data set was prepared.

  Args:
    folder: need not exist; may be empty.
    ours: regex of the names that are made there.

  Raises:
    ConfigError: names a file of somebody else.
  """
  for path in sorted(folder.iterdir()) if folder.is_dir() else ():
    if not re.fullmatch(rf"{ours}|\..*|Thumbs\.db|desktop\.ini", path.name):
      raise errors.ConfigError(
        f"{folder} has files that are not of a data set, such as {path.name};"
        " move them away, or choose another --data_dir"
      )


@contextlib.contextmanager
def _storage(new: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except OSError as e:
    raise errors.StorageError(
      f"{new} cannot be written: {e.strerror}"
      f"{f' ({e.filename})' if e.filename else ''}; run the same command to go"
      " on"
    ) from e


def _gb(size: float) -> str:
  return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
