"""Facts of the data sets that the recipes use, from catalog.toml."""

from collections.abc import Mapping
import dataclasses
from importlib import resources
import tomllib

from vit_jax.data.sources import vtab


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is published about a data set.

  Attributes:
    name: name in a config; for ReaL without its file.
    group: what it is used for.
    classes: number of classes of its labels.
    splits: number of images by split.
    version: version of the TFDS data set, "" if it is not one. The counts hold
      for all versions with the same major number.
    download: size of the download as published; "" is unknown or nothing.
    disk: size on disk when prepared, as published; "" is unknown.
    by_hand: what must be downloaded by hand, and from where; "" is nothing.
    prepare: the name to be given to `data prepare`.
    source: where these facts are from.
  """

  name: str
  group: str
  classes: int
  splits: Mapping[str, int]
  prepare: str = ""
  version: str = ""
  download: str = ""
  disk: str = ""
  by_hand: str = ""
  source: str = ""

  def faults(self, version: str, sizes: Mapping[str, int]) -> list[str] | None:
    """Splits that do not have as many examples as published.

    None for a version with another major number.
    """
    if version.partition(".")[0] != self.version.partition(".")[0]:
      return None
    return [
      f"split {split} has {n:,} examples, not the published"
      f" {self.splits[split]:,}"
      for split, n in sizes.items()
      if n != self.splits.get(split, n)
    ]


def _task(name: str, data: Facts) -> Facts:
  """The facts of a task of VTAB-1k, from those of its data set."""
  task = vtab.TASKS[name]
  split, percent = task.test
  size = data.splits[split]
  return dataclasses.replace(
    data,
    name=f"vtab:{name}",
    group=f"VTAB {task.group}",
    classes=task.num_classes,
    splits={**vtab.SIZES, "test": size - size * percent // 100},
    source=f"arXiv:1910.04867; {data.source}",
  )


def _read() -> dict[str, Facts]:
  file = resources.files("vit_jax.datasets").joinpath("catalog.toml")
  out = {
    name: Facts(name=name, **{"prepare": name, **fields})
    for name, fields in tomllib.loads(file.read_text()).items()
  }
  for name, task in vtab.TASKS.items():
    out[f"vtab:{name}"] = _task(name, out[f"tfds:{task.data}"])
  return out


CATALOG: dict[str, Facts] = _read()


def facts(name: str) -> Facts | None:
  """What is known about a data set, by its name in a config; None if nothing.

  The version of tfds:NAME:VERSION and the file of real:FILE are ignored. A
  name without a config is that of its first one, as in TFDS.
  """
  scheme, _, rest = name.partition(":")
  if scheme == "real":
    return CATALOG["real"]
  plain = f"{scheme}:{rest.partition(':')[0]}"
  configs = (key for key in CATALOG if key.startswith(f"{plain}/"))
  return CATALOG.get(plain) or CATALOG.get(next(configs, ""))


def text() -> str:
  """The catalog as a table, and below it what must be downloaded by hand."""
  head = "name", "group", "classes", "images", "download", "on disk"
  rows: list[tuple[str, ...]] = [(*head, "prepare", "by hand")]
  notes: dict[str, int] = {}
  for data in CATALOG.values():
    # The tasks of VTAB stand for their data sets.
    if data.group == "VTAB":
      continue
    splits, mark = data.splits, ""
    if data.name.startswith("vtab:"):
      splits = {"train": 1000, "test": splits["test"]}
    if data.by_hand:
      mark = f"[{notes.setdefault(data.by_hand, len(notes) + 1)}]"
    images = ", ".join(f"{k} {n:,}" for k, n in splits.items())
    sizes = f"{data.classes:,}", images, data.download, data.disk
    rows.append((data.name, data.group, *sizes, data.prepare, mark))
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
  lines += [
    "",
    "To build one: python -m vit_jax data prepare PREPARE --data_dir=DIR, where"
    " PREPARE is the name in that column.",
    "First download by hand, into DIR/downloads/manual:",
  ]
  lines += [f"  [{number}] {what}" for what, number in notes.items()]
  return "\n".join(lines)
