"""What a data set holds: splits, classes, sizes, and a sheet of examples."""

import collections
import itertools
import pathlib
from typing import Any

import cv2
import numpy as np

from vit_jax.core import errors, files as files_lib, owners
from vit_jax.data import files, sources
from vit_jax.preprocess import decode

# Examples that are read to learn the sizes of a split.
_SAMPLE = 1000
# Examples whose labels are read where nothing else knows them.
_LABELS = 100_000
_TILE_PX, _TEXT_PX = 128, 20
_COLUMNS, _ROWS = 10, 6


def describe(name: str, data_dir: str = "", split: str = "") -> dict[str, Any]:
  """Facts of each split of a data set, as JSON.

  Args:
    name: of the data set; see sources.open_source.
    data_dir: where TFDS data sets are.
    split: this part alone, such as "train[:10%]"; "" is every split.

  Returns:
    {"name", "splits": {split: {"examples", "classes", "version", "labels_seen",
    "per_class": {class: examples}, "sampled", "unreadable", "height",
    "width", "bytes"}}}; the last three are least, median and largest. Labels
    and sizes are those of evenly spaced examples where there are many.

  Raises:
    ConfigError: no such data set or split.
  """
  facts = {}
  splits = (split,) if split else sources.split_names(name, data_dir)
  for part in splits:
    source = sources.open_source(name, part, data_dir)
    facts[part] = {
      "examples": len(source),
      "classes": source.num_classes,
      "version": source.fingerprint["version"],
      **_labels(source),
      **_sizes(source),
    }
    if isinstance(source, files.Files):
      facts[part]["ignored"] = list(source.ignored)
  return {"name": name, "splits": facts}


def text(facts: dict[str, Any]) -> str:
  """The facts as lines for people."""
  lines = []
  for split, of in facts["splits"].items():
    lines.append(
      f"{facts['name']} {of['version']}, split {split}: {of['examples']:,}"
      f" examples of {of['classes']:,} classes"
    )
    per_class = of["per_class"]
    if per_class:
      least = min(per_class, key=per_class.__getitem__)
      most = max(per_class, key=per_class.__getitem__)
      median = int(np.median(list(per_class.values())))
      lines.append(
        f"  classes with examples: {len(per_class):,}; from"
        f" {per_class[least]:,} ({least}) over {median:,} (median) to"
        f" {per_class[most]:,} ({most}){_part(of, 'labels_seen')}"
      )
    for what, unit in (("height", "px"), ("width", "px"), ("bytes", "")):
      if of[what]:
        low, middle, high = of[what]
        lines.append(
          f"  {what}: {low:,} to {high:,} {unit}".rstrip()
          + f", median {middle:,}{_part(of, 'sampled')}"
        )
    if of["unreadable"]:
      lines.append(f"  cannot be read: {'; '.join(of['unreadable'])}")
    count, example = of.get("ignored", (0, ""))
    if count:
      lines.append(f"  ignored: {count:,} other files, such as {example}")
  return "\n".join(lines)


def _part(of: dict[str, Any], key: str) -> str:
  whole = of[key] == of["examples"]
  return "" if whole else f" (of {of[key]:,} examples)"


def _spaced(size: int, most: int) -> list[int]:
  """Up to `most` evenly spaced indices."""
  count = min(size, most)
  return [k * size // count for k in range(count)]


def _labels(source: sources.Source) -> dict[str, Any]:
  """How often each class occurs."""
  if isinstance(source, files.Files):
    seen, counts = len(source), source.class_counts()
  else:
    indices = _spaced(len(source), _LABELS)
    seen, counts = len(indices), np.zeros(source.num_classes, np.int64)
    for i in indices if source.num_classes else ():
      np.add.at(counts, _valid(source[i]["label"]), 1)
  return {
    "labels_seen": seen,
    "per_class": {
      class_name(source, c): int(counts[c]) for c in np.flatnonzero(counts)
    },
  }


def _valid(label: Any) -> np.ndarray:
  """The labels of an example without the padding."""
  labels = np.atleast_1d(label)
  return labels[labels >= 0]


def class_name(source: sources.Source, label: int) -> str:
  """A class's name, or its number where nobody named it."""
  return source.class_names[label] if source.class_names else str(label)


def _sizes(source: sources.Source) -> dict[str, Any]:
  """Sides and bytes of evenly spaced examples."""
  found = collections.defaultdict(list)
  bad = []
  indices = _spaced(len(source), _SAMPLE)
  for i in indices:
    try:
      image = source[i]["image"]
      encoded = isinstance(image, bytes)
      h, w = decode.header_size(image) if encoded else image.shape[:2]
    except (errors.DataError, ValueError) as e:
      bad.append(sources.located(source, i, e))
      continue
    found["height"].append(h)
    found["width"].append(w)
    found["bytes"].append(len(image) if encoded else image.nbytes)
  spread = {
    key: [min(v), int(np.median(v)), max(v)] if (v := found[key]) else []
    for key in ("height", "width", "bytes")
  }
  return {"sampled": len(indices), "unreadable": bad, **spread}


def _chosen(source: sources.Source) -> list[int]:
  """Sixty examples, in turns of each class that evenly spaced ones have."""
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


def contact_sheet(source: sources.Source) -> np.ndarray:
  """Sixty examples of all classes with their labels, uint8 [h, w, 3].

  An example that cannot be read is a red field.
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
  rows = -(-len(tiles) // _COLUMNS)
  sheet = np.full(
    (rows * (_TILE_PX + _TEXT_PX), _COLUMNS * _TILE_PX, 3), 255, np.uint8
  )
  for k, (_, tile) in enumerate(tiles):
    y, x = k // _COLUMNS * len(tile), k % _COLUMNS * _TILE_PX
    sheet[y : y + len(tile), x : x + _TILE_PX] = tile
  return sheet


def _tile(image: np.ndarray, caption: str) -> np.ndarray:
  """An image in a square with its caption below."""
  tile = np.full((_TILE_PX + _TEXT_PX, _TILE_PX, 3), 255, np.uint8)
  side = _TILE_PX - 4
  scale = side / max(image.shape[:2])
  h, w = (max(1, round(n * scale)) for n in image.shape[:2])
  # Enlarged pixels stay squares: small images are looked at one by one.
  how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
  y, x = 2 + (side - h) // 2, 2 + (side - w) // 2
  tile[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=how)
  # OpenCV's letters are ASCII.
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
  sheet = contact_sheet(sources.open_source(name, split, data_dir))
  png = cv2.imencode(".png", sheet[..., ::-1])[1].tobytes()
  files_lib.write(path, png)
