"""The examples of a data set whose images are files of their own."""

from collections.abc import Iterator
import os
import pathlib
from typing import Any

import numpy as np

from vit_jax.core import errors
from vit_jax.data import index, manifest, scan, slices, sources, table


class Files(sources.Source):
  """A part of a split; images stay encoded.

  An example's label is a number, or int32 [K] padded with -1 where the data
  set has several.

  Args:
    of: the index of all splits.
    name: of the data set, as in the config.
    split: what was asked for, such as "train[:90%]".
  """

  def __init__(self, of: index.Index, name: str, split: str):
    sizes = {k: stop - start for k, (start, stop) in of.splits.items()}
    which, start, stop = slices.parse(split, sizes)
    first = of.splits[which][0]
    scheme, _, path = name.partition(":")
    base = table.shown(os.path.basename(os.path.abspath(path)))
    self._index, self._name, self._split = of, name, split
    self._start, self._size = first + start, stop - start
    self.num_classes = of.num_classes
    self.class_names = of.class_names
    self.ignored = of.ignored
    self.fingerprint: dict[str, Any] = {
      # Where data lies is not what it is.
      "name": f"{scheme}:{base}",
      "version": of.digests[which][:16],
      "split": split,
      "shard_sizes": [start, stop, sizes[which]],
      "files": of.digests[which],
    }

  def __reduce__(self):
    # A worker process maps the index into its own memory.
    arguments = (self._index.file, self._index.root, self._name, self._split)
    return _reopen, (*arguments, self.fingerprint)

  def __len__(self) -> int:
    return self._size

  def __getitem__(self, i: int) -> dict[str, Any]:
    path = self.where(i)
    row = self._start + i
    size = int(self._index.columns["sizes"][row])
    try:
      with open(self._path(i), "rb") as f:
        # One byte more shows a file that has grown.
        image = f.read(size + 1)
    except OSError as e:
      raise errors.DataError(f"{path} cannot be read: {e.strerror}") from e
    if len(image) != size:
      more = "more" if len(image) > size else "less"
      raise errors.DataError(
        f"{path} has {more} than the {size} bytes that it had when its folder"
        f" was indexed; restore it, or remove {table.shown(self._index.file)}"
      )
    return {"image": image, "label": self.label(i), "id": i}

  def label(self, i: int) -> Any:
    """The label of an example, or its padded labels."""
    labels = self._index.labels(self._start + i)
    if not self._index.num_labels:
      return int(labels[0])
    padded = np.full(self._index.num_labels, -1, np.int32)
    padded[: len(labels)] = labels
    return padded

  def where(self, i: int) -> str:
    """The file of an example."""
    return table.shown(self._path(i))

  def class_counts(self) -> np.ndarray:
    """How many examples have each class, int64 [C]."""
    edges = [self._start, self._start + self._size]
    if self._index.num_labels:
      ends = self._index.columns["label_ends"]
      edges = [int(ends[i - 1]) if i else 0 for i in edges]
    labels = self._index.columns["labels"][slice(*edges)]
    return np.bincount(labels, minlength=self.num_classes)

  def wrong_sizes(self) -> Iterator[str]:
    """What is wrong with files that are missing or not of their old size."""
    sizes = self._index.columns["sizes"]
    root = os.fsencode(self._index.root)
    for i in range(self._size):
      row = self._start + i
      try:
        found = scan.size(root, self._index.path(row))
      except errors.DataError as e:
        yield str(e)
        continue
      if found != sizes[row]:
        yield f"{self.where(i)} has {found} bytes, not {sizes[row]}"

  def _path(self, i: int) -> bytes:
    if not 0 <= i < self._size:
      raise IndexError(i)
    path = self._index.path(self._start + i)
    # An index comes with the data: it may not lead out of the folder.
    if path.startswith(b"/") or b".." in path.split(b"/"):
      raise errors.DataError(
        f"{table.shown(self._index.file)} is damaged; remove it"
      )
    return os.path.join(os.fsencode(self._index.root), path)


def _reopen(
  file: str, root: str, name: str, split: str, fingerprint: dict[str, Any]
) -> Files:
  """The same part in another process."""
  found = index.read(file, root)
  source = Files(found, name, split) if found else None
  if source is None or source.fingerprint != fingerprint:
    raise errors.DataError(
      f"{table.shown(root)} changed while it was read; run again when it is at"
      " rest"
    )
  return source


def open_index(scheme: str, path: str, **options: Any) -> index.Index:
  """The index of a folder or a manifest.

  Args:
    scheme: "folder" or "multilabel".
    path: the folder (only of "folder"), or a *.csv or *.jsonl file.
    **options: of manifest.read.

  Raises:
    ConfigError: there is no such folder or manifest.
    DataError: it cannot be read.
  """
  place = pathlib.Path(path).expanduser()
  is_manifest = place.suffix in (".csv", ".jsonl")
  if (
    not path
    or "://" in path
    or not place.exists()
    or (not is_manifest and (scheme != "folder" or not place.is_dir()))
  ):
    raise errors.ConfigError(
      f"{{name}}: {path or 'nothing'} is no"
      f" {'folder, ' if scheme == 'folder' else ''}*.csv or *.jsonl file on"
      " this machine",
      {"name": f"{scheme}:{path}"},
    )
  if not is_manifest:
    root = str(place)
    return index.open_or_build(root, scheme, lambda: scan.scan(root))
  file = str(place)
  return index.open_or_build(
    str(place.parent),
    "-".join([scheme, place.name, *map(str, options.values())]),
    lambda: manifest.read(file, many=scheme == "multilabel", **options),
  )
