"""Folders of images: CLASS/IMAGE, SPLIT/CLASS/IMAGE, or a manifest.

A folder with folders of classes has the one split "train"; parts of it such as
"train[:90%]" and "train[90%:]" are the same on every machine, disjoint, and
have each class in its share. If a folder has only folders named train, val,
valid, validation and test, these are its splits. See data/manifest.py for
manifests.
"""

from collections.abc import Iterator
import os
import pathlib
from typing import Any

import numpy as np

from vit_jax.core import errors
from vit_jax.data import base, index, manifest, paths, scan, slices, walk

placeless = paths.last_name


class Files(base.Source):
  """A part of a split whose images are files of their own, still encoded.

  An example's label is a number, or int32 [K] padded with -1 where examples of
  the data set have several. The index is of all splits, the name as in the
  config.
  """

  def __init__(self, files: index.Index, name: str, split: str):
    sizes = {k: stop - start for k, (start, stop) in files.splits.items()}
    split_name, start, stop = slices.parse(split, sizes)
    scheme, _, path = name.partition(":")
    self._index, self._name, self._split = files, name, split
    self._start = files.splits[split_name][0] + start
    self._size = stop - start
    self.num_classes = files.num_classes
    self.class_names = files.class_names
    self.remarks = files.remarks
    self.fingerprint: dict[str, Any] = {
      # The same data in another folder is the same data.
      "name": f"{scheme}:{placeless(path)}",
      "version": files.digests[split_name][:16],
      "split": split,
      "shard_sizes": [start, stop, sizes[split_name]],
      "files": files.digests[split_name],
    }

  def __reduce__(self):
    # A worker process maps the index into its own memory.
    arguments = (self._index.file, self._index.root, self._name, self._split)
    return _reopen, (*arguments, self.fingerprint)

  def __len__(self) -> int:
    return self._size

  def __getitem__(self, index: int) -> dict[str, Any]:
    path = self._path(index)
    size = int(self._index.columns["sizes"][self._start + index])
    with paths.reading(path), open(path, "rb") as f:
      # One byte more shows that a file has grown.
      image = f.read(size + 1)
    if len(image) != size:
      more = "more" if len(image) > size else "less"
      raise errors.DataError(
        f"{self.where(index)} has {more} than the {size} bytes that it had when"
        " its folder was indexed; restore it, or remove"
        f" {paths.printable(self._index.file)}"
      )
    return {"image": image, "label": self.label(index), "id": index}

  def label(self, index: int) -> Any:
    """The label of an example, or its padded labels."""
    labels = self._index.labels(self._start + index)
    if not self._index.num_labels:
      return int(labels[0])
    padded = np.full(self._index.num_labels, -1, np.int32)
    padded[: len(labels)] = labels
    return padded

  def where(self, index: int) -> str:
    """The file of an example."""
    return paths.printable(self._path(index))

  def known_labels(self) -> np.ndarray | None:
    if self._index.num_labels:
      return None
    return self._index.columns["labels"][self._start :][: self._size]

  def notes(self) -> list[str]:
    notes = list(self.remarks.notes)
    count, example = self.remarks.ignored
    if count:
      notes.append(f"ignored: {count:,} other files, such as {example}")
    if self.remarks.unread:
      notes.append(walk.unread_text(self.remarks.unread))
    return notes

  def class_counts(self) -> np.ndarray:
    """How many examples have each class, int64 [C]."""
    edges = [self._start, self._start + self._size]
    if self._index.num_labels:
      ends = self._index.columns["label_ends"]
      edges = [int(ends[i - 1]) if i else 0 for i in edges]
    labels = self._index.columns["labels"][slice(*edges)]
    return np.bincount(labels, minlength=self.num_classes)

  def changed_files(self) -> Iterator[str]:
    """What is wrong with files that are missing or have another size."""
    sizes = self._index.columns["sizes"]
    for i in range(self._size):
      wanted = sizes[self._start + i]
      try:
        size = paths.file_size(self._path(i))
      except errors.DataError as e:
        yield str(e)
        continue
      if size != wanted:
        yield f"{self.where(i)} has {size} bytes, not {wanted}"

  def _path(self, index: int) -> bytes:
    if not 0 <= index < self._size:
      raise IndexError(index)
    path = self._index.path(self._start + index)
    # An index comes with the data: it may not lead out of the folder.
    if path.startswith(b"/") or b".." in path.split(b"/"):
      raise errors.DataError(
        f"{paths.printable(self._index.file)} is damaged; remove it"
      )
    return os.path.join(os.fsencode(self._index.root), path)


def _reopen(
  file: str, root: str, name: str, split: str, fingerprint: dict[str, Any]
) -> Files:
  """The same part in another process."""
  files = index.read(file, root)
  source = Files(files, name, split) if files else None
  if source is None or source.fingerprint != fingerprint:
    raise errors.DataError(
      f"{paths.printable(root)} changed while it was read; run again when"
      " nothing changes it any more"
    )
  return source


def open_index(scheme: str, path: str, **options: Any) -> index.Index:
  """The index of a *.csv or *.jsonl file, or with "folder" also of a folder.

  The scheme is "folder" or "multilabel"; options are those of manifest.read.

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
    kinds = "folder, *.csv" if scheme == "folder" else "*.csv"
    raise errors.ConfigError(
      f"{{name}}: {path or 'nothing'} is no {kinds} or *.jsonl file on this"
      " machine",
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


def open_source(rest: str, split: str, data_dir: str) -> Files:
  """A part of the images in a folder, or of those that a manifest lists."""
  return Files(open_index("folder", rest), f"folder:{rest}", split)


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits of a folder or manifest."""
  return tuple(open_index("folder", rest).splits)
