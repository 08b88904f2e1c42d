"""Writes a data set in TFDS's form, shard by shard, with many processes.

First a plan is written to the folder VERSION.plan: for each shard a file of
JSON lines that lists its items. An example's position is a hash of its key, so
neither the order in which they are listed nor the number of shards, processes
or machines changes the order of a data set. Then the shards are written, each
completely or not at all, to VERSION.incomplete, which is renamed at the end.
After an interruption the same command continues the work.
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
from vit_jax.data import progress
from vit_jax.data.sources import tfds as tfds_source
from vit_jax.datasets import checksums, planned, pool, shards

SKIPPED = "skipped.jsonl"
# Examples take a little more than their images.
_OVERHEAD = 1.02


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A data set to write.

  Attributes:
    info: its name, version and features, and `data_dir`, where to write it.
    source: what it is made from, including everything that must be the same
      when the work is continued.
    listing: yields split and item of each example. An item is JSON: "key" is
      unique in a split, "size" is its bytes if known, the rest is for `read`.
      Raises DataError or ConfigError if the source is not as it should be.
    read: makes the example of an item; can be pickled. Raises DataError.
    metadata: is stored beside the features, such as {"num_labels": 5}.
    on_error: what happens if an example cannot be read: "raise" ends the work,
      "skip" leaves it out and reports it.
  """

  info: tfds.core.DatasetInfo
  source: str
  listing: Callable[[], Iterator[tuple[str, planned.Item]]]
  read: Callable[[planned.Item], dict[str, Any]]
  metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  on_error: str = "raise"


def identity(name: str, version: str, data_dir: str) -> Any:
  """What a DatasetInfo has instead of a builder, for a data set without one."""
  return dataset_info.DatasetIdentity(
    name=name,
    version=tfds.core.Version(version),
    data_dir=str(tfds_source.root(data_dir) / name / version),
    module_name="",
  )


def write(recipe: Recipe, *, workers: int = 0, beam: str = "") -> str:
  """Writes a data set and describes what was written.

  `workers` are processes, 0 for one per CPU; `beam` has options of an Apache
  Beam pipeline that writes the shards instead, such as "--runner=DirectRunner".

  Raises:
    ConfigError: there is unfinished work from another source, or the folder has
      files of something else.
    DataError: an example cannot be read, or another process writes the same
      data set.
    StorageError: not enough room.
    Interrupted: finished shards are kept.
  """
  new = pathlib.Path(recipe.info.data_dir)
  refuse_foreign(new)
  with work_folders(new, recipe.info.name) as (work, folder):
    plan = planned.open_or_make(str(folder), recipe.source, recipe.listing)
    features: Any = recipe.info.features
    features.save_config(str(work))
    jobs = [
      shards.Job(
        folder=str(work),
        file=f"{recipe.info.name}-{file}",
        plan=str(folder / "shards" / items),
        read=recipe.read,
        skip=recipe.on_error == "skip",
      )
      for items, file in zip(
        plan.files(), plan.files(tfds_source.FORMAT.value), strict=True
      )
    ]
    todo = [job for job in jobs if shards.done(job) is None]
    _announce(recipe, plan, work, len(todo))
    if beam:
      from vit_jax.datasets import beam as beam_lib

      beam_lib.run(todo, beam)
    else:
      pool.run(todo, workers or os.cpu_count() or 1)
    skipped = _finish(recipe, plan, jobs, work)
  left_out = ""
  if skipped:
    left_out = (
      f"; {len(skipped)} of {plan.count} left out, the first"
      f" {skipped[0]['why']}; all are in {SKIPPED}"
    )
  name = recipe.info.full_name.rpartition("/")[0]
  sizes = describe_splits(recipe.info)
  return f"tfds:{name} written to {new} ({sizes}{left_out})"


def describe_splits(info: tfds.core.DatasetInfo) -> str:
  """How many examples each split has."""
  sizes = (f"{name} {s.num_examples}" for name, s in info.splits.items())
  return f"examples: {', '.join(sizes)}"


def _announce(
  recipe: Recipe, plan: planned.Plan, work: pathlib.Path, todo: int
) -> None:
  """Prints what will be written; raises StorageError without room for it."""
  count = sum(plan.shards.values())
  needed = int(plan.size * _OVERHEAD * todo / count)
  free = shutil.disk_usage(work).free
  progress.say(
    f"{recipe.info.full_name}: {plan.text()}, {_gb(plan.size)} of images in"
    f" {count} shards ({todo} to be written) to {work.parent};"
    f" {_gb(free)} are free there"
  )
  if free < needed:
    raise errors.StorageError(
      f"{work.parent} has {_gb(free)} free, and {_gb(needed)} are needed; make"
      " room and run the same command, or choose another --data_dir"
    )


def _finish(
  recipe: Recipe, plan: planned.Plan, jobs: list[shards.Job], work: pathlib.Path
) -> list[dict[str, str]]:
  """Writes TFDS's metadata and the checksums; returns what was left out."""
  info = recipe.info
  results = [done for job in jobs if (done := shards.done(job))]
  splits, first, skipped = [], 0, []
  for name, number in plan.shards.items():
    reports = results[first : first + number]
    first += number
    skipped += [{"split": name, **s} for r in reports for s in r["skipped"]]
    template = naming.ShardedFileTemplate(
      data_dir=epath.Path(info.data_dir),
      dataset_name=info.name,
      split=name,
      filetype_suffix=tfds_source.FORMAT.value,
    )
    splits.append(
      tfds.core.SplitInfo(
        name=name,
        shard_lengths=[r["examples"] for r in reports],
        num_bytes=sum(r["bytes"] for r in reports),
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
  checksums.record(work, sums)
  return skipped


@contextlib.contextmanager
def work_folders(
  new: pathlib.Path, name: str
) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
  """The folders of unfinished shards, in the end renamed, and of the plan.

  Raises:
    ConfigError: they have files of something else.
    DataError: another process writes the same data set.
    StorageError: they cannot be written.
    Interrupted: by a signal; finished shards are kept.
  """
  work, plan = (new.with_name(new.name + s) for s in (".incomplete", ".plan"))
  refuse_foreign(work, rf"{name}-.*|.*\.(json|jsonl|txt)")
  refuse_foreign(plan, planned.NAMES)
  with (
    pool.interruptible(),
    shards.writing(new, OSError),
    files.locked(plan / ".lock") as lock,
  ):
    if lock is None:
      raise errors.DataError(
        f"{new.parent} is being written by another process; wait for it"
      )
    work.mkdir(parents=True, exist_ok=True)
    yield work, plan
    work.rename(new)
    shutil.rmtree(plan)


def refuse_foreign(folder: pathlib.Path, ours: str = "") -> None:
  """A ConfigError for files of no data set, other than the regex `ours`."""
  for path in sorted(folder.iterdir()) if folder.is_dir() else ():
    if not re.fullmatch(rf"{ours}|\..*|Thumbs\.db|desktop\.ini", path.name):
      raise errors.ConfigError(
        f"{folder} has files that are not of a data set, such as {path.name};"
        " move them away, or choose another --data_dir"
      )


def _gb(size: float) -> str:
  return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
