"""Finds the images of a folder: one directory a class, below splits or not."""

import collections
from concurrent import futures
import os

from vit_jax.core import errors
from vit_jax.data import index, layout, paths, progress, table, walk
from vit_jax.preprocess import decode

_THREADS = 16


def scan(root: str) -> tuple[table.Table, index.Watched, index.Remarks]:
  """The table of a folder, the folders it depends on, and what else is there.

  Classes are numbered in the order of their names' bytes, over all splits; see
  layout.py for what is a split, and walk.py for what is an image.

  Raises:
    DataError: what cannot be read, a loop of links, a class without images, or
      what `layout.find` refuses.
  """
  top = os.fsencode(root)
  where = layout.find(root)
  watched = where.watched
  out = table.Table(
    split_names=where.splits,
    class_names=[paths.printable(c) for c in where.classes],
    num_classes=len(where.classes),
  )
  folders = [
    (label, where.splits.index(split), folder)
    for label, parts in enumerate(where.classes.values())
    for split, folder in parts
  ]
  counts = [0] * len(where.classes)
  others: list[bytes] = []
  unread: collections.Counter[str] = collections.Counter()

  def look(folder: bytes) -> tuple[walk.Found, list[int]]:
    walked = walk.walk(top, folder)
    sizes = [paths.file_size(os.path.join(top, p)) for p in walked.images]
    return walked, sizes

  listed = progress.Progress(f"{paths.printable(top)}: listed", 0)
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    walks = pool.map(lambda row: look(row[2]), folders)
    for (label, split, _), (walked, sizes) in zip(folders, walks, strict=True):
      watched += walked.watched
      others += walked.others
      unread += walked.unread
      counts[label] += len(sizes)
      for path, size in zip(walked.images, sizes, strict=True):
        out.add(path, size, [label], split)
      listed.add(len(sizes))
  for parts, count in zip(where.classes.values(), counts, strict=True):
    if not count:
      folder = paths.printable(os.path.join(top, parts[0][1]))
      raise errors.DataError(
        f"the class folder {folder} has no images"
        f" ({', '.join(e[1:] for e in decode.SUFFIXES)}); fill or remove it"
        f"{_unread(unread)}"
      )
  first = "".join(map(paths.printable, others[:1]))
  remarks = index.Remarks(
    ignored=(len(others), first), unread=dict(unread), notes=tuple(where.notes)
  )
  return out, watched, remarks


def _unread(unread: dict[str, int]) -> str:
  text = walk.unread_text(unread)
  return f"; {text}" if text else ""
