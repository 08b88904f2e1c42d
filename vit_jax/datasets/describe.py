"""Describes a data set: splits, classes, sizes, and a sheet of examples."""

import collections
import itertools
import pathlib
from typing import Any

import cv2
import numpy as np

from vit_jax.core import errors, files, owners
from vit_jax.data import base, summary
from vit_jax.data.sources import folder
from vit_jax.preprocess import decode

# Examples of a split whose sizes are read.
_SAMPLE = 1000
# Examples of a split whose labels are read, unless an index has all of them.
_LABELS = 100_000
_TILE_PX, _TEXT_PX = 128, 20
_COLUMNS, _ROWS = 10, 6


def describe(name: str, data_dir: str = "", split: str = "") -> dict[str, Any]:
  """Facts of each split of a data set, or of one part of it, as JSON.

  See base.open_source for the arguments.

  Returns:
    {"name", "splits": {split: {"examples", "classes", "version", "labels_seen",
    "per_class": {class: examples}, "sampled", "unreadable", "height",
    "width", "bytes"}}}; the last three are smallest, median and largest. In
    large splits labels and sizes are those of evenly spaced examples.

  Raises:
    ConfigError: no such data set or split.
  """
  facts = {}
  splits = (split,) if split else base.split_names(name, data_dir)
  for part in splits:
    source = base.open_source(name, part, data_dir)
    facts[part] = {
      "examples": len(source),
      "classes": source.num_classes,
      "version": source.fingerprint["version"],
      **_labels(source),
      **_sizes(source),
    }
    if isinstance(source, folder.Files):
      facts[part]["ignored"] = list(source.remarks.ignored)
      few = f"classes: {summary.classes(source)}"
      facts[part]["remarks"] = [few, *source.notes()]
  return {"name": name, "splits": facts}


def text(facts: dict[str, Any]) -> str:
  """The facts as lines for people."""
  lines = []
  for split, part in facts["splits"].items():
    lines.append(
      f"{facts['name']} {part['version']}, split {split}: {part['examples']:,}"
      f" examples of {part['classes']:,} classes"
    )
    per_class = part["per_class"]
    if per_class:
      least = min(per_class, key=per_class.__getitem__)
      most = max(per_class, key=per_class.__getitem__)
      median = int(np.median(list(per_class.values())))
      lines.append(
        f"  classes with examples: {len(per_class):,}; from"
        f" {per_class[least]:,} ({least}) over {median:,} (median) to"
        f" {per_class[most]:,} ({most}){_sampled(part, 'labels_seen')}"
      )
    for key, unit in (("height", " px"), ("width", " px"), ("bytes", "")):
      if part[key]:
        low, middle, high = part[key]
        lines.append(
          f"  {key}: {low:,} to {high:,}{unit}, median {middle:,}"
          f"{_sampled(part, 'sampled')}"
        )
    if part["unreadable"]:
      lines.append(f"  cannot be read: {'; '.join(part['unreadable'])}")
    lines += [f"  {text}" for text in part.get("remarks", ())]
  return "\n".join(lines)


def _sampled(part: dict[str, Any], key: str) -> str:
  """How many examples a fact is from, unless it is from all of them."""
  is_all = part[key] == part["examples"]
  return "" if is_all else f" (of {part[key]:,} examples)"


def _spaced(size: int, most: int) -> list[int]:
  """Up to `most` evenly spaced indices."""
  count = min(size, most)
  return [k * size // count for k in range(count)]


def _labels(source: base.Source) -> dict[str, Any]:
  """How often each class occurs."""
  if isinstance(source, folder.Files):
    seen, counts = len(source), source.class_counts()
  else:
    indices = _spaced(len(source), _LABELS)
    seen, counts = len(indices), np.zeros(source.num_classes, np.int64)
    for i in indices if source.num_classes else ():
      np.add.at(counts, _valid(source[i]["label"]), 1)
  return {
    "labels_seen": seen,
    "per_class": {
      class_name(source, int(c)): int(counts[c]) for c in np.flatnonzero(counts)
    },
  }


def _valid(label: Any) -> np.ndarray:
  """The labels of an example without the padding."""
  labels = np.atleast_1d(label)
  return labels[labels >= 0]


def class_name(source: base.Source, label: int) -> str:
  """A class's name, or its number if it has none."""
  return source.class_names[label] if source.class_names else str(label)


def _sizes(source: base.Source) -> dict[str, Any]:
  """Sides and bytes of evenly spaced examples."""
  sizes = {"height": [], "width": [], "bytes": []}
  unreadable = []
  indices = _spaced(len(source), _SAMPLE)
  for i in indices:
    try:
      image = source[i]["image"]
      encoded = isinstance(image, bytes)
      h, w = decode.header_size(image) if encoded else image.shape[:2]
    except (errors.DataError, ValueError) as e:
      unreadable.append(base.describe_error(source, i, e))
      continue
    size = len(image) if encoded else image.nbytes
    for values, value in zip(sizes.values(), (h, w, size), strict=True):
      values.append(value)
  spread = {
    key: [min(values), int(np.median(values)), max(values)] if values else []
    for key, values in sizes.items()
  }
  return {"sampled": len(indices), "unreadable": unreadable, **spread}


def _chosen(source: base.Source) -> list[int]:
  """Sixty examples: the classes of evenly spaced ones take turns."""
  most = _COLUMNS * _ROWS
  by_label = collections.defaultdict(list)
  for i in _spaced(len(source), 10 * most):
    try:
      label = tuple(_valid(source[i]["label"]).tolist())
    except errors.DataError:
      label = ()
    by_label[label].append(i)
  turns = itertools.zip_longest(*by_label.values())
  return [i for turn in turns for i in turn if i is not None][:most]


def contact_sheet(source: base.Source) -> np.ndarray:
  """Sixty examples of all classes with their labels, uint8 [h, w, 3].

  An example that cannot be read is shown as a red field.
  """
  to_rgb = decode.Decode()
  tiles = []
  for i in _chosen(source):
    try:
      example = to_rgb(source[i], np.random.default_rng(0))
      labels = _valid(example["label"]).tolist()
      caption = ", ".join(class_name(source, c) for c in labels)
      tiles.append((labels, _tile(example["image"], caption)))
    except errors.DataError:
      red = np.full((8, 8, 3), (200, 0, 0), np.uint8)
      tiles.append(([], _tile(red, f"{i}: cannot be read")))
  tiles.sort(key=lambda tile: tile[0])
  sheet = [tile for _, tile in tiles]
  sheet += [np.full_like(sheet[0], 255)] * (-len(sheet) % _COLUMNS)
  rows = range(0, len(sheet), _COLUMNS)
  return np.vstack([np.hstack(sheet[k : k + _COLUMNS]) for k in rows])


def _tile(image: np.ndarray, caption: str) -> np.ndarray:
  """An image in a square, with its caption below."""
  tile = np.full((_TILE_PX + _TEXT_PX, _TILE_PX, 3), 255, np.uint8)
  side = _TILE_PX - 4
  scale = side / max(image.shape[:2])
  h, w = (max(1, round(n * scale)) for n in image.shape[:2])
  # The pixels of an enlarged image stay visible as squares.
  how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
  y, x = 2 + (side - h) // 2, 2 + (side - w) // 2
  tile[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=how)
  # OpenCV can only write ASCII.
  shown = caption.encode("ascii", "replace").decode()
  shown = shown if len(shown) <= 18 else shown[:16] + ".."
  place = (4, _TILE_PX + _TEXT_PX - 7)
  font = cv2.FONT_HERSHEY_SIMPLEX
  cv2.putText(tile, shown, place, font, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
  return tile


def write_sheet(name: str, split: str, file: str, data_dir: str = "") -> None:
  """Writes the contact sheet of a split as a PNG.

  Raises:
    ConfigError: no such data set or split, or the file is something else.
    StorageError: the file cannot be written.
  """
  path = pathlib.Path(file)
  owners.check_file(
    "sheet", path, lambda head: head.startswith(b"\x89PNG"), "a PNG image"
  )
  sheet = contact_sheet(base.open_source(name, split, data_dir))
  png = cv2.imencode(".png", sheet[..., ::-1])[1].tobytes()
  files.write(path, png)
