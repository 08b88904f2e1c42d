"""Reads manifests: a CSV or JSON-lines file with a row for each image.

The columns, or keys, are "path" (below the manifest's folder), "label" or
"labels" (each a name or a number) and, if wanted, "split" (otherwise "train")
and "confidence" of the labels; others are ignored. A CSV file begins with a
line of the columns' names; a | separates several labels or confidences. A
manifest to be prepared may have "url", of http or https, instead of "path":
only `survey` and `examples` accept it.

A file classes.txt beside the manifest, with a name per line, defines the
classes and numbers them from 0. Without it the classes are the names that
occur, sorted, or the numbers up to the largest; two manifests then have the
same classes only by chance.

Labels are text, exactly as written but for blanks around them and their Unicode
form (see class_names.py). They are numbers of classes where all are whole
numbers; 01 and 1 are then the same, and a manifest with both is refused.
"""

from array import array
from collections.abc import Callable, Iterator
from concurrent import futures
import csv
import dataclasses
import json
import os
import pathlib
from typing import Any, NoReturn
import urllib.parse

from vit_jax.core import errors
from vit_jax.data import class_names, index, paths, table

CLASSES = "classes.txt"
_THREADS = 16
_CHUNK = 4096
# Every label that occurs: in which place it first occurred, and in which line.
_Seen = dict[Any, tuple[int, int]]
# How other programs write that a label is missing.
_MISSING = ("nan", "NaN", "<NA>")


class _RowError(Exception):
  """What is wrong with a row."""


@dataclasses.dataclass(frozen=True)
class Survey:
  """What must be known of a whole manifest before its first image is written.

  `numbers` has the class of each label that occurs, `class_names` the names by
  class or nothing, and `most_labels` is the largest number of an image.
  """

  numbers: dict[Any, int]
  class_names: list[str]
  num_classes: int
  most_labels: int
  has_confidence: bool


def survey(file: str) -> Survey:
  """Reads a manifest with several labels an image once.

  Raises:
    DataError: what cannot be read, with its line.
  """
  seen: _Seen = {}
  most_labels, has_confidence = 0, False
  for row in _parsed(file, many=True, urls=True):
    for label in row.labels:
      seen.setdefault(label, (len(seen), row.line))
    most_labels = max(most_labels, len(row.labels))
    has_confidence |= bool(row.confidences)
  numbers, names, num_classes, _ = _numbers(seen, file)
  clean = list(map(class_names.clean, names))
  return Survey(numbers, clean, num_classes, most_labels, has_confidence)


def examples(
  file: str, known: Survey
) -> Iterator[tuple[str, str, list[int], list[float]]]:
  """Split, path or URL, labels and confidences (1 where not given)."""
  for row in _parsed(file, many=True, urls=True):
    labels = [known.numbers[label] for label in row.labels]
    confidences = row.confidences or [1.0] * len(labels)
    yield row.split, row.place, labels, confidences


def read(
  file: str, *, many: bool, min_confidence: float = 0.0
) -> tuple[table.Table, index.Watched, index.Remarks]:
  """The table of a manifest, what it depends on, and remarks about its labels.

  An example has `many` labels ("labels") or one ("label"); those with less than
  `min_confidence` are left out.

  Raises:
    DataError: what cannot be read, with its line.
  """
  root = os.path.dirname(file) or "."
  watched = [
    index.watch(root, name) for name in (os.path.basename(file), CLASSES)
  ]
  out = table.Table()
  seen: _Seen = {}
  splits: dict[str, int] = {}
  for row in _parsed(file, many=many, urls=False):
    confidences = row.confidences or [1.0] * len(row.labels)
    places = [
      seen.setdefault(label, (len(seen), row.line))[0]
      for label, confidence in zip(row.labels, confidences, strict=True)
      if confidence >= min_confidence
    ]
    split = splits.setdefault(row.split, len(splits))
    out.add(os.fsencode(row.place), 0, places, split)
    if many:
      out.label_ends.append(len(out.labels))
  if not out.ends:
    raise errors.DataError(f"{paths.printable(file)} has no rows")
  out.split_names = list(splits)
  numbers, out.class_names, out.num_classes, notes = _numbers(seen, file)
  by_place = list(numbers.values())
  out.labels = array("i", (by_place[place] for place in out.labels))
  out.sizes = _sizes(root, out)
  return out, watched, index.Remarks(notes=notes)


@dataclasses.dataclass(frozen=True)
class _Row:
  """A row; its place is a path below the manifest's folder, or a URL."""

  line: int
  place: str
  split: str
  labels: list[Any]
  confidences: list[float]


def _parsed(file: str, *, many: bool, urls: bool) -> Iterator[_Row]:
  root = os.path.dirname(file) or "."
  for line, row in _rows(file):
    try:
      place = _place(root, row, urls)
      split = row.get("split") or "train"
      if not isinstance(split, str) or "[" in split:
        raise _RowError(f"{split!r} is not the name of a split")
      split = split.strip() or "train"
      yield _Row(line, place, split, *_labels(row, many))
    except _RowError as e:
      raise errors.DataError(
        f"{paths.printable(file)}, line {line}: {e}"
      ) from e


def _rows(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
  """Line number and columns of each row."""
  line = 0
  try:
    with (
      paths.reading(file),
      open(file, encoding="utf-8-sig", newline="") as f,
    ):
      if file.endswith(".csv"):
        reader = csv.DictReader(f, strict=True)
        # A blank after a comma is no part of a column's name.
        reader.fieldnames = [n.strip() for n in reader.fieldnames or ()]
        for row in reader:
          line = reader.line_num
          if None in row or None in row.values():
            raise ValueError("it has more or fewer columns than the first line")
          yield line, row
        return
      for line, text in enumerate(f, start=1):
        if not text.strip():
          continue
        row = json.loads(text)
        if not isinstance(row, dict):
          raise ValueError('it is not {"path": ..., "label": ...}')
        yield line, row
  except UnicodeDecodeError as e:
    raise errors.DataError(
      f"{paths.printable(file)} is not UTF-8 after line {line}"
    ) from e
  except (ValueError, csv.Error) as e:
    raise errors.DataError(f"{paths.printable(file)}, line {line}: {e}") from e


def _place(root: str, row: dict[str, Any], urls: bool) -> str:
  url, path = row.get("url"), row.get("path")
  if not url:
    if not isinstance(path, str) or not path:
      raise _RowError(f"it has no path (it has {', '.join(map(str, row))})")
    return _inside(root, path)
  if not urls:
    raise _RowError(
      f"{url!r} must be downloaded first: data prepare multilabel:FILE"
    )
  if path or not isinstance(url, str) or not is_url(url):
    raise _RowError(f"{url!r} must be a URL of http or https, without a path")
  return url


def _inside(root: str, path: str) -> str:
  """A path below the root."""
  inner = os.path.normpath(path)
  if os.path.isabs(inner):
    inner = os.path.relpath(inner, os.path.abspath(root))
  if inner in (".", "..") or inner.startswith("../") or "\0" in inner:
    raise _RowError(
      f"the path {paths.printable(path)!r} leads outside"
      f" {paths.printable(root)}, the manifest's folder"
    )
  return inner


def _labels(row: dict[str, Any], many: bool) -> tuple[list[Any], list[float]]:
  """The labels of a row, and their confidences where it has them."""
  if many:
    labels = _list(row, "labels")
  elif row.get("label") is None:
    raise _RowError(f"it has no label (it has {', '.join(map(str, row))})")
  else:
    labels = [row["label"]]
  for label in labels:
    # True == 1 in Python, but it is not a label.
    if type(label) not in (int, str) or not str(label).strip():
      raise _RowError(f"{label!r} is not a label: give a name or a number")
  if not many or "confidence" not in row:
    return labels, []
  values = _list(row, "confidence")
  try:
    confidences = [float(v) for v in values]
  except (ValueError, TypeError) as e:
    raise _RowError(f"confidence {values} are not all numbers") from e
  if len(confidences) != len(labels):
    raise _RowError(f"{len(labels)} labels, but {len(confidences)} confidences")
  if not all(0.0 <= c <= 1.0 for c in confidences):
    raise _RowError(f"confidence {confidences} must be from 0 to 1")
  return labels, confidences


def _list(row: dict[str, Any], key: str) -> list[Any]:
  value = row.get(key)
  if isinstance(value, str):
    return value.split("|") if value else []
  if not isinstance(value, list):
    raise _RowError(f"{key} is not a list (it has {', '.join(map(str, row))})")
  return value


def _class_names(root: str) -> list[str]:
  """The names in classes.txt, as they are written; [] if there is none."""
  file = pathlib.Path(root) / CLASSES
  try:
    names = class_names.read(file)
  except FileNotFoundError:
    return []
  except (OSError, UnicodeDecodeError) as e:
    raise errors.DataError(
      f"{paths.printable(file)} cannot be read: {e}"
    ) from e
  clean = list(map(class_names.clean, names))
  if not names or len(set(clean)) != len(clean) or "" in clean:
    raise errors.DataError(
      f"{paths.printable(file)} must name each class once, one per line"
    )
  return names


def _numbers(
  seen: _Seen, file: str
) -> tuple[dict[Any, int], list[str], int, tuple[str, ...]]:
  """The class of each label, names and number of classes, and remarks.

  Names are as they are written, so that a data set's digest stays what it was.
  """

  def refuse(label: Any, why: str) -> NoReturn:
    raise errors.DataError(
      f"{paths.printable(file)}, line {seen[label][1]}: label {label!r} {why}"
    )

  names = _class_names(os.path.dirname(file) or ".")
  clean = {label: class_names.clean(str(label)) for label in seen}
  all_numbers = all(
    type(label) is int or _is_number(name) for label, name in clean.items()
  )
  if all_numbers and not names:
    _refuse_merged(clean, refuse)
  elif not names:
    for label, name in clean.items():
      if type(label) is int:
        refuse(label, "is a number, others are names")
      if name in _MISSING:
        refuse(
          label,
          "is how a missing label is written: remove the row, or name the class"
          f" in {CLASSES}",
        )
    names = _names(clean)
  known = {class_names.clean(name): i for i, name in enumerate(names)}
  # Where classes are called by numbers, other numbers are none of them.
  may_number = all_numbers and not any(map(_is_number, known))
  limit = len(names) or 2**24
  classes = {}
  for label, name in clean.items():
    if type(label) is int:
      classes[label] = label
    else:
      number = int(name) if may_number and _is_number(name) else -1
      classes[label] = known.get(name, number)
    if not 0 <= classes[label] < limit:
      refuse(label, f"is none of the {limit} classes")
  count = len(names) or max(classes.values(), default=-1) + 1
  return classes, names, count, _notes(clean)


def _is_number(name: str) -> bool:
  return name.isascii() and name.isdigit() and len(name) < 20


def _names(clean: dict[Any, str]) -> list[str]:
  """A name for each class, in order; as it is written where in one way only."""
  written: dict[str, list[str]] = {}
  for label, name in clean.items():
    written.setdefault(name, []).append(label)
  return sorted(w[0] if len(w) == 1 else n for n, w in written.items())


def _refuse_merged(
  clean: dict[Any, str], refuse: Callable[[Any, str], NoReturn]
) -> None:
  """Refuses texts such as 01 and 1, which are one class only as numbers."""
  first: dict[int, Any] = {}
  for label, name in clean.items():
    other = first.setdefault(int(name), label)
    if clean[other] != name:
      refuse(
        label,
        f"and {other!r} are the same number, but not the same text: write them"
        f" alike, or name the classes in {CLASSES}",
      )


def _notes(clean: dict[Any, str]) -> tuple[str, ...]:
  """What is read otherwise than it is written."""
  changed = [k for k, v in clean.items() if isinstance(k, str) and k != v]
  if not changed:
    return ()
  few = ", ".join(f"{k!r} as {clean[k]!r}" for k in changed[:3])
  return (
    f"{len(changed):,} labels are read without the blanks around them and in"
    f" Unicode's composed form: {few}",
  )


def _sizes(root: str, rows: table.Table) -> array:
  """Bytes of every file."""
  top = os.fsencode(root)

  def part(first: int) -> list[int]:
    last = min(first + _CHUNK, len(rows.ends))
    return [
      paths.file_size(os.path.join(top, rows.path(i)))
      for i in range(first, last)
    ]

  sizes = array("q")
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    for some in pool.map(part, range(0, len(rows.ends), _CHUNK)):
      sizes.extend(some)
  return sizes


def is_url(text: str) -> bool:
  """Whether a text is a URL of http or https that names a host."""
  try:
    parts = urllib.parse.urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.hostname)
  except ValueError:
    return False
