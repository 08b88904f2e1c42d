"""What goes into which shard of a data set that is being written."""

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
from vit_jax.datasets import archives, progress

Item = dict[str, Any]

# A shard's images: some 2,500 of ImageNet's.
_SHARD_BYTES = 256 * 2**20
_MOST_SHARDS = 10_000
# So that no shard of a data set is empty, but by the worst of chances.
_LEAST_ITEMS = 64
# Bytes of an image whose size nobody knows before it is fetched.
_UNKNOWN_BYTES = 100_000
_BUFFERED = 200_000
_FACTS = "plan.json"
_LIST = "items.jsonl"
# Regex of what is in the folder of a plan.
NAMES = r"plan\.json|items\.jsonl|shards"


@dataclasses.dataclass(frozen=True)
class Facts:
  """What was planned.

  Attributes:
    source: what the examples come from.
    items: how many, by split.
    shards: how many, by split.
    size: bytes of all images.
  """

  source: str
  items: dict[str, int]
  shards: dict[str, int]
  size: int

  @property
  def count(self) -> int:
    return sum(self.items.values())

  def files(self, suffix: str = "") -> list[str]:
    """Names of the shards' files without that of the data set."""
    dot = f".{suffix}" if suffix else ""
    return [
      f"{split}{dot}-{i:05d}-of-{number:05d}"
      for split, number in self.shards.items()
      for i in range(number)
    ]

  def text(self) -> str:
    return ", ".join(f"{split} {n:,}" for split, n in self.items.items())


def item(found: archives.Slice, **more: Any) -> Item:
  """The item of an image whose name no other has."""
  return {
    "key": found.name,
    "path": found.path,
    "offset": found.offset,
    "size": found.size,
    **more,
  }


def open_or_make(
  folder: str, source: str, listing: Callable[[], Iterator[tuple[str, Item]]]
) -> Facts:
  """The plan in a folder; made where there is none.

  Raises:
    ConfigError: it was made from another source.
    DataError: of `listing`, or it lists nothing.
  """
  file = pathlib.Path(folder) / _FACTS
  if not file.exists():
    return _make(pathlib.Path(folder), source, listing)
  facts = Facts(**json.loads(file.read_text()))
  if facts.source != source:
    raise errors.ConfigError(
      f"{folder} holds work that began with {facts.source}, not with {source};"
      " give the same, or remove this folder"
    )
  return facts


def _make(
  folder: pathlib.Path,
  source: str,
  listing: Callable[[], Iterator[tuple[str, Item]]],
) -> Facts:
  counts: dict[str, int] = {}
  sizes: dict[str, int] = {}
  said = progress.Progress("listed", 0)
  with (folder / _LIST).open("w") as f:
    for split, item in listing():
      counts[split] = counts.get(split, 0) + 1
      size = item.get("size", _UNKNOWN_BYTES)
      sizes[split] = sizes.get(split, 0) + size
      f.write(json.dumps([split, item]) + "\n")
      said.add(1)
  if not counts:
    raise errors.DataError(f"{source} has no images")
  for split in counts:
    if not re.fullmatch(r"\w+", split):
      raise errors.DataError(f"{source}: {split!r} is no name of a split")
  facts = Facts(
    source=source,
    items=counts,
    shards={k: number_of_shards(n, sizes[k]) for k, n in counts.items()},
    size=sum(sizes.values()),
  )
  _deal(folder, facts)
  files.write(folder / _FACTS, json.dumps(dataclasses.asdict(facts)))
  (folder / _LIST).unlink()
  return facts


def number_of_shards(items: int, size: int) -> int:
  """Shards of some 256 MiB each, and not too many."""
  wanted = -(-size // _SHARD_BYTES)
  return max(1, min(wanted, items // _LEAST_ITEMS, _MOST_SHARDS))


def _deal(folder: pathlib.Path, facts: Facts) -> None:
  """Puts each line of the list into the file of its shard."""
  lists = folder / "shards"
  shutil.rmtree(lists, ignore_errors=True)
  lists.mkdir()
  for file in facts.files():
    (lists / file).touch()
  buffered: dict[str, list[str]] = {}
  lines = 0

  def flush() -> None:
    for file, text in buffered.items():
      with (lists / file).open("a") as f:
        f.writelines(text)
    buffered.clear()

  with (folder / _LIST).open() as f:
    for line in f:
      split, item = json.loads(line)
      number = facts.shards[split]
      shard = place(item["key"]) * number >> 64
      file = f"{split}-{shard:05d}-of-{number:05d}"
      buffered.setdefault(file, []).append(json.dumps(item) + "\n")
      lines += 1
      if lines % _BUFFERED == 0:
        flush()
  flush()


def place(key: str) -> int:
  """Where in its split an example is, of 2^64 places."""
  data = key.encode("utf-8", "surrogateescape")
  return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def read(file: str) -> list[Item]:
  """The items of a shard in their order.

  Raises:
    DataError: a key is there twice.
  """
  with open(file) as f:
    items = [json.loads(line) for line in f]
  items.sort(key=lambda item: (place(item["key"]), item["key"]))
  for one, other in itertools.pairwise(items):
    if one["key"] == other["key"]:
      raise errors.DataError(f"{one['key']} is listed twice; keep one of them")
  return items
