"""Which image goes into which shard of a data set that is being written."""

import collections
from collections.abc import Callable, Iterator
import dataclasses
import hashlib
import itertools
import json
import pathlib
import re
import shutil
from typing import Any

from vit_jax.core import errors, files
from vit_jax.data import progress
from vit_jax.datasets import archives

Item = dict[str, Any]

# About 2,500 images of ImageNet.
_SHARD_BYTES = 256 * 2**20
_MOST_SHARDS = 10_000
# With this many items on average it is practically impossible that a shard is
# empty.
_LEAST_ITEMS = 64
# Estimated size of an image that is not downloaded yet.
_UNKNOWN_BYTES = 100_000
_BUFFERED = 200_000
_PLAN = "plan.json"
_LIST = "items.jsonl"
# Regex of the names in the folder of a plan.
NAMES = r"plan\.json|items\.jsonl|shards"


@dataclasses.dataclass(frozen=True)
class Plan:
  """How many items and shards each split of a source has.

  The size is that of all images in bytes.
  """

  source: str
  items: dict[str, int]
  shards: dict[str, int]
  size: int

  @property
  def count(self) -> int:
    return sum(self.items.values())

  def files(self, suffix: str = "") -> list[str]:
    """Names of the shards' files, without the data set's name."""
    dot = f".{suffix}" if suffix else ""
    return [
      f"{split}{dot}-{i:05d}-of-{number:05d}"
      for split, number in self.shards.items()
      for i in range(number)
    ]

  def text(self) -> str:
    return ", ".join(f"{split} {n:,}" for split, n in self.items.items())


def item(image: archives.Slice, **more: Any) -> Item:
  """The item of an image whose name is unique."""
  place = {"path": image.path, "offset": image.offset, "size": image.size}
  return {"key": image.name, **place, **more}


def open_or_make(
  folder: str, source: str, listing: Callable[[], Iterator[tuple[str, Item]]]
) -> Plan:
  """The plan in a folder, which is made if there is none.

  Raises:
    ConfigError: it was made from another source.
    DataError: of `listing`, or it lists nothing.
  """
  file = pathlib.Path(folder) / _PLAN
  if not file.exists():
    return _make(pathlib.Path(folder), source, listing)
  plan = Plan(**json.loads(file.read_text()))
  if plan.source != source:
    raise errors.ConfigError(
      f"{folder} holds unfinished work on {plan.source}, not on {source}; give"
      " the same source, or remove this folder"
    )
  return plan


def _make(
  folder: pathlib.Path,
  source: str,
  listing: Callable[[], Iterator[tuple[str, Item]]],
) -> Plan:
  counts, sizes = collections.Counter[str](), collections.Counter[str]()
  listed = progress.Progress("listed", 0)
  with (folder / _LIST).open("w") as f:
    for split, item in listing():
      counts[split] += 1
      sizes[split] += item.get("size", _UNKNOWN_BYTES)
      f.write(json.dumps([split, item]) + "\n")
      listed.add(1)
  if not counts:
    raise errors.DataError(f"{source} has no images")
  for split in counts:
    if not re.fullmatch(r"\w+", split):
      raise errors.DataError(f"{source}: {split!r} is not the name of a split")
  plan = Plan(
    source=source,
    items=dict(counts),
    shards={k: number_of_shards(n, sizes[k]) for k, n in counts.items()},
    size=sum(sizes.values()),
  )
  _deal(folder, plan)
  files.write(folder / _PLAN, json.dumps(dataclasses.asdict(plan)))
  (folder / _LIST).unlink()
  return plan


def number_of_shards(items: int, size: int) -> int:
  """How many shards of about 256 MiB to write, within limits."""
  wanted = -(-size // _SHARD_BYTES)
  return max(1, min(wanted, items // _LEAST_ITEMS, _MOST_SHARDS))


def _deal(folder: pathlib.Path, plan: Plan) -> None:
  """Writes each line of the list into the file of its shard."""
  lists = folder / "shards"
  shutil.rmtree(lists, ignore_errors=True)
  lists.mkdir()
  for file in plan.files():
    (lists / file).touch()
  with (folder / _LIST).open() as f:
    while lines := list(itertools.islice(f, _BUFFERED)):
      by_file = collections.defaultdict(list)
      for line in lines:
        split, item = json.loads(line)
        number = plan.shards[split]
        shard = position(item["key"]) * number >> 64
        file = f"{split}-{shard:05d}-of-{number:05d}"
        by_file[file].append(json.dumps(item) + "\n")
      for file, items in by_file.items():
        with (lists / file).open("a") as shard_list:
          shard_list.writelines(items)


def position(key: str) -> int:
  """The position of an example in the order of its split, of 2^64."""
  data = key.encode("utf-8", "surrogateescape")
  return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def read(file: str) -> list[Item]:
  """The items of a shard, sorted; a DataError if a key is listed twice."""
  with open(file) as f:
    items = [json.loads(line) for line in f]
  items.sort(key=lambda item: (position(item["key"]), item["key"]))
  for item, following in itertools.pairwise(items):
    if item["key"] == following["key"]:
      raise errors.DataError(f"{item['key']} is listed twice; keep one of them")
  return items
