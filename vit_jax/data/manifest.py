"""Reads manifests: a CSV or JSON-lines file with a row for each image.

Columns, or keys: "path" (below the manifest's folder), "label" or "labels" (a
name or a number each), and where wanted "split" (else all is "train") and
"confidence" of the labels. In CSV, which begins with a line of the columns'
names, several labels or confidences have a | between them. Others are left
alone. In place of "path" there may be "url", of http or https, in a manifest
that is prepared: only `survey` and `examples` take it.

A file classes.txt beside the manifest, a name a line, says what the classes
are and numbers them from 0. Without one they are the names that occur, sorted,
or the numbers up to the largest; two manifests then only agree by chance.
"""

from array import array
from collections.abc import Iterator
from concurrent import futures
import csv
import dataclasses
import json
import os
import pathlib
from typing import Any
import urllib.parse

from vit_jax.core import errors
from vit_jax.data import index, scan, table

CLASSES = "classes.txt"
_THREADS = 16
_CHUNK = 4096


@dataclasses.dataclass
class _Vocabulary:
  """Labels in the order they occurred: number or name -> (place, line)."""

  seen: dict[Any, tuple[int, int]] = dataclasses.field(default_factory=dict)

  def place(self, label: Any, line: int) -> int:
    return self.seen.setdefault(label, (len(self.seen), line))[0]


class _Row(Exception):
  """What is wrong with a row."""


@dataclasses.dataclass(frozen=True)
class Survey:
  """What must be known of a whole manifest before its first image is written.

  Attributes:
    numbers: of each label that occurs.
    class_names: by class; empty where nobody named them.
    num_classes: classes, named or not.
    most_labels: of an image.
    has_confidence: whether any row has.
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
  words, most_labels, has_confidence = _Vocabulary(), 0, False
  for row in _parsed(file, many=True, urls=True):
    for label in row.labels:
      words.place(label, row.line)
    most_labels = max(most_labels, len(row.labels))
    has_confidence |= bool(row.confidences)
  final, names, num_classes = _numbers(
    words, file, _class_names(os.path.dirname(file) or ".")
  )
  numbers = dict(zip(words.seen, final, strict=True))
  return Survey(numbers, names, num_classes, most_labels, has_confidence)


def examples(
  file: str, known: Survey
) -> Iterator[tuple[str, str, list[int], list[float]]]:
  """Split, path or URL, labels and confidences (1 where not given)."""
  for row in _parsed(file, many=True, urls=True):
    labels = [known.numbers[label] for label in row.labels]
    confidences = row.confidences or [1.0] * len(labels)
    yield row.split, row.place, labels, confidences


@dataclasses.dataclass(frozen=True)
class _Parsed:
  """A row; its place is a path below the manifest's folder, or a URL."""

  line: int
  place: str
  split: str
  labels: list[Any]
  confidences: list[float]


def _parsed(file: str, *, many: bool, urls: bool) -> Iterator[_Parsed]:
  root = os.path.dirname(file) or "."
  for line, row in _rows(file):
    try:
      place = _place(root, row, urls)
      split = row.get("split") or "train"
      if not isinstance(split, str) or "[" in split:
        raise _Row(f"{split!r} is no name of a split")
      yield _Parsed(line, place, split, *_labels(row, many))
    except _Row as e:
      raise errors.DataError(f"{table.shown(file)}, line {line}: {e}") from e


def read(
  file: str, *, many: bool, min_confidence: float = 0.0
) -> tuple[table.Table, index.Watched, tuple[int, str]]:
  """The table of a manifest, and what it depends on.

  Args:
    file: *.csv or *.jsonl.
    many: whether an example has several labels ("labels") or one ("label").
    min_confidence: labels with less are left out.

  Raises:
    DataError: what cannot be read, with its line.
  """
  root = os.path.dirname(file) or "."
  watched = [
    index.watch(root, name) for name in (os.path.basename(file), CLASSES)
  ]
  out, words = table.Table(), _Vocabulary()
  splits: dict[str, int] = {}
  for row in _parsed(file, many=many, urls=False):
    sure = row.confidences or [1.0] * len(row.labels)
    out.labels.extend(
      words.place(label, row.line)
      for label, confidence in zip(row.labels, sure, strict=True)
      if confidence >= min_confidence
    )
    out.names += os.fsencode(row.place)
    out.ends.append(len(out.names))
    out.splits.append(splits.setdefault(row.split, len(splits)))
    if many:
      out.label_ends.append(len(out.labels))
  if not out.ends:
    raise errors.DataError(f"{table.shown(file)} has no rows")
  out.split_names = list(splits)
  final, out.class_names, out.num_classes = _numbers(
    words, file, _class_names(root)
  )
  out.labels = array("i", (final[place] for place in out.labels))
  out.sizes = _sizes(root, out)
  return out, watched, (0, "")


def _rows(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
  """Line number and columns of each row."""
  line = 0
  try:
    with open(file, encoding="utf-8-sig", newline="") as f:
      if file.endswith(".csv"):
        reader = csv.DictReader(f, strict=True)
        for row in reader:
          line = reader.line_num
          if None in row or None in row.values():
            raise ValueError("it has not as many columns as the first line")
          yield line, row
        return
      for line, text in enumerate(f, start=1):
        if not text.strip():
          continue
        row = json.loads(text)
        if not isinstance(row, dict):
          raise ValueError('it is no {"path": ..., "label": ...}')
        yield line, row
  except OSError as e:
    raise errors.DataError(
      f"{table.shown(file)} cannot be read: {e.strerror}"
    ) from e
  except UnicodeDecodeError as e:
    raise errors.DataError(
      f"{table.shown(file)} is not UTF-8 after line {line}"
    ) from e
  except (ValueError, csv.Error) as e:
    raise errors.DataError(f"{table.shown(file)}, line {line}: {e}") from e


def _text(row: dict[str, Any], key: str) -> str:
  value = row.get(key)
  if not isinstance(value, str) or not value:
    raise _Row(f"it has no {key} (it has {', '.join(map(str, row))})")
  return value


def _place(root: str, row: dict[str, Any], urls: bool) -> str:
  url = row.get("url")
  if not url:
    return _inside(root, _text(row, "path"))
  if not urls:
    raise _Row(f"{url!r} is to be fetched first: data prepare multilabel:FILE")
  if row.get("path") or not isinstance(url, str) or not is_url(url):
    raise _Row(f"{url!r} is no URL of http or https alone")
  return url


def _inside(root: str, path: str) -> str:
  """A path below the root."""
  inner = os.path.normpath(path)
  if os.path.isabs(inner):
    inner = os.path.relpath(inner, os.path.abspath(root))
  if inner in (".", "..") or inner.startswith("../") or "\0" in inner:
    raise _Row(
      f"the path {table.shown(path)!r} leads outside {table.shown(root)}, the"
      " manifest's folder"
    )
  return inner


def _labels(row: dict[str, Any], many: bool) -> tuple[list[Any], list[float]]:
  """The labels of a row, and their confidences where it has them."""
  if not many:
    if row.get("label") is None:
      raise _Row(f"it has no label (it has {', '.join(map(str, row))})")
    labels = [row["label"]]
  else:
    labels = _list(row, "labels")
  for label in labels:
    # True == 1 in Python, and not in a manifest.
    if type(label) not in (int, str) or label == "":
      raise _Row(f"{label!r} is no label: give a name or a number")
  if not many or "confidence" not in row:
    return labels, []
  values = _list(row, "confidence")
  try:
    confidences = [float(v) for v in values]
  except (ValueError, TypeError) as e:
    raise _Row(f"confidence {values} are not all numbers") from e
  if len(confidences) != len(labels):
    raise _Row(f"{len(labels)} labels, but {len(confidences)} confidences")
  if not all(0.0 <= c <= 1.0 for c in confidences):
    raise _Row(f"confidence {confidences} must be from 0 to 1")
  return labels, confidences


def _list(row: dict[str, Any], key: str) -> list[Any]:
  value = row.get(key)
  if isinstance(value, str):
    return value.split("|") if value else []
  if not isinstance(value, list):
    raise _Row(f"{key} is no list (it has {', '.join(map(str, row))})")
  return value


def _class_names(root: str) -> list[str]:
  file = pathlib.Path(root) / CLASSES
  try:
    names = file.read_text(encoding="utf-8-sig").splitlines()
  except FileNotFoundError:
    return []
  except (OSError, UnicodeDecodeError) as e:
    raise errors.DataError(f"{table.shown(file)} cannot be read: {e}") from e
  if not names or len(set(names)) != len(names) or "" in names:
    raise errors.DataError(
      f"{table.shown(file)} must name each class once, one a line"
    )
  return names


def _numbers(
  words: _Vocabulary, file: str, names: list[str]
) -> tuple[array, list[str], int]:
  """The class of each label by its place, the names and number of classes."""
  known = {name: i for i, name in enumerate(names)}
  numbers = all(
    type(w) is int or (w.isascii() and w.isdigit()) for w in words.seen
  )
  if not names and not numbers:
    mixed = [w for w in words.seen if type(w) is int]
    if mixed:
      _refuse(file, words, mixed[0], "is a number, others are names")
    names = sorted(words.seen)
    known = {name: i for i, name in enumerate(names)}
  final = array("i")
  for word in words.seen:
    if word in known:
      final.append(known[word])
      continue
    number = int(word) if numbers or type(word) is int else -1
    limit = len(names) or 2**24
    if not 0 <= number < limit:
      _refuse(file, words, word, f"is none of the {limit} classes")
    final.append(number)
  return final, names, len(names) or max(final, default=-1) + 1


def _refuse(file: str, words: _Vocabulary, word: Any, why: str) -> None:
  raise errors.DataError(
    f"{table.shown(file)}, line {words.seen[word][1]}: label {word!r} {why}"
  )


def _sizes(root: str, out: table.Table) -> array:
  top = os.fsencode(root)

  def part(first: int) -> list[int]:
    rows = range(first, min(first + _CHUNK, len(out.ends)))
    return [scan.size(top, out.path(i)) for i in rows]

  sizes = array("q")
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    for some in pool.map(part, range(0, len(out.ends), _CHUNK)):
      sizes.extend(some)
  return sizes


def is_url(text: str) -> bool:
  """Whether it is of http or https and names a host."""
  try:
    parts = urllib.parse.urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.hostname)
  except ValueError:
    return False
