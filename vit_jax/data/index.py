"""The index of a data set of files: built once, then mapped into memory.

One file with a JSON header and raw columns. It is in a hidden folder beside
the data, or in the user's cache folder where that cannot be written, or else in
a folder of the user among the temporary ones. It is
valid as long as everything that it was built from has the same modification
time: the folders of a tree, or a manifest. (A file that was rewritten in place
under its old name is noticed when it is read.)
"""

from collections.abc import Callable
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import stat
import struct
import tempfile
from typing import Any

import numpy as np

from vit_jax.core import errors, files
from vit_jax.data import class_names, paths, table

FOLDER = ".vit_jax"
# Every file begins with this. Another form of the file has another number, and
# so have other rules of what is an image, a class or a split.
_MAGIC = b"vit_jax index 2\n"
_ALIGN = 64
_DTYPES = {
  "names": "|u1",
  "ends": "<i8",
  "sizes": "<i8",
  "labels": "<i4",
  "label_ends": "<i8",
}
# Path below the root, modification time in ns, size in bytes (-1: a folder).
Watched = list[tuple[str, int, int]]


@dataclasses.dataclass(frozen=True)
class Remarks:
  """What was found besides the examples, for people.

  Attributes:
    ignored: how many files are no images by their names, and one of them.
    unread: see walk.Found.
    notes: what was decided that a person may see otherwise.
  """

  ignored: tuple[int, str] = (0, "")
  unread: dict[str, int] = dataclasses.field(default_factory=dict)
  notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Index:
  """What is known about the files of a data set without opening them.

  Attributes:
    file: file of the index.
    root: the folder that paths are relative to.
    columns, splits, digests: see table.in_order.
    class_names: as in table.Table, but clean; see class_names.py.
    num_classes: see table.Table.
    num_labels: the largest number of labels of an example; 0 where each has
      exactly one.
    remarks: see `Remarks`.
  """

  file: str
  root: str
  columns: dict[str, np.ndarray]
  splits: dict[str, tuple[int, int]]
  digests: dict[str, str]
  class_names: tuple[str, ...]
  num_classes: int
  num_labels: int
  remarks: Remarks

  def path(self, row: int) -> bytes:
    """The path of a row below the root."""
    first, last = _edges(self.columns["ends"], row)
    return self.columns["names"][first:last].tobytes()

  def labels(self, row: int) -> np.ndarray:
    """The labels of a row, int32."""
    if not self.num_labels:
      return self.columns["labels"][row : row + 1]
    first, last = _edges(self.columns["label_ends"], row)
    return self.columns["labels"][first:last]


def _edges(ends: np.ndarray, row: int) -> tuple[int, int]:
  return (int(ends[row - 1]) if row else 0), int(ends[row])


def open_or_build(
  root: str,
  name: str,
  build: Callable[[], tuple[table.Table, Watched, Remarks]],
) -> Index:
  """The index of a data set, which is built if there is no valid one.

  Paths are relative to `root`, and the file of the index has this name. `build`
  makes the table, what it depends on, and remarks about it.

  Raises:
    DataError: of `build`, or the data changed meanwhile.
    StorageError: the index can be written in none of its places.
  """
  places = _places(root, name)
  for file in places:
    index = read(str(file), root)
    if index is not None:
      return index
  # Before the scan, because it changes the root's modification time.
  with contextlib.suppress(OSError):
    places[0].parent.mkdir(exist_ok=True)
  made, watched, remarks = build()
  columns, splits, digests = table.in_order(made)
  counts = np.diff(columns["label_ends"], prepend=0)
  meta = {
    "splits": splits,
    "digests": digests,
    # The digests are of the names as they are written.
    "class_names": list(map(class_names.clean, made.class_names)),
    "num_classes": made.num_classes,
    # At least 1, also without any label: 0 means exactly one label each.
    "num_labels": int(counts.max(initial=1)) if len(counts) else 0,
    "remarks": dataclasses.asdict(remarks),
  }
  for file in places:
    try:
      write(str(file), columns, meta, watched)
    except (errors.StorageError, OSError):
      continue
    index = read(str(file), root)
    if index is None:
      raise errors.DataError(
        f"{paths.printable(root)} changed while its index was made; run again"
        " when nothing changes it any more"
      )
    return index
  tried = " nor to ".join(map(paths.printable, places))
  raise errors.StorageError(
    f"the index of {paths.printable(root)} can be written neither to {tried};"
    " make one of these folders writable"
  )


def _places(root: str, name: str) -> list[pathlib.Path]:
  """Where the index may be: beside the data, or a cache of this user."""
  key = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
  places = [pathlib.Path(root) / FOLDER / name]
  # In a container there may be a user without a home, or no folder for this.
  with contextlib.suppress(RuntimeError):
    places.append(pathlib.Path.home() / ".cache" / "vit_jax" / key / name)
  with contextlib.suppress(OSError):
    shared = pathlib.Path(tempfile.gettempdir()) / f"vit_jax-{os.getuid()}"
    shared.mkdir(mode=0o700, exist_ok=True)
    status = shared.lstat()
    # Others may write beside it, and could have made it.
    if status.st_uid == os.getuid() and not status.st_mode & 0o022:
      places.append(shared / key / name)
  return places


def write(
  file: str,
  columns: dict[str, np.ndarray],
  meta: dict[str, Any],
  watched: Watched,
) -> None:
  """Writes an index, completely or not at all."""
  meta = {**meta, "watched": watched, "rows": len(columns["ends"])}
  meta["lengths"] = {name: len(columns[name]) for name in _DTYPES}
  text = json.dumps(meta).encode()
  folder = pathlib.Path(file).parent
  folder.mkdir(parents=True, exist_ok=True)
  with files.replacing(pathlib.Path(file)) as f:
    f.write(_MAGIC + struct.pack("<q", len(text)) + text)
    for name, dtype in _DTYPES.items():
      f.write(bytes(-f.tell() % _ALIGN))
      f.write(np.ascontiguousarray(columns[name], dtype).data)


def read(file: str, root: str) -> Index | None:
  """The index in a file; None if it is missing, damaged or out of date."""
  try:
    data = np.memmap(file, np.uint8, "r")
  except (OSError, ValueError):
    return None
  place = len(_MAGIC) + 8
  if data[: len(_MAGIC)].tobytes() != _MAGIC or len(data) < place:
    return None
  size = struct.unpack("<q", data[len(_MAGIC) : place].tobytes())[0]
  try:
    meta = json.loads(data[place : place + size].tobytes())
    place += size
    columns = {}
    for name, dtype in _DTYPES.items():
      place += -place % _ALIGN
      stop = place + meta["lengths"][name] * np.dtype(dtype).itemsize
      if not place <= stop <= len(data):
        return None
      columns[name] = data[place:stop].view(dtype)
      place = stop
    if any(watch(root, seen[0]) != tuple(seen) for seen in meta["watched"]):
      return None
    seen = meta["remarks"]
    return Index(
      file=file,
      root=root,
      columns=columns,
      splits={k: (start, stop) for k, (start, stop) in meta["splits"].items()},
      digests=meta["digests"],
      class_names=tuple(meta["class_names"]),
      num_classes=meta["num_classes"],
      num_labels=meta["num_labels"],
      remarks=Remarks(
        tuple(seen["ignored"]), dict(seen["unread"]), tuple(seen["notes"])
      ),
    )
  except (ValueError, LookupError, TypeError, AttributeError):
    return None


def watch(root: str, path: str) -> tuple[str, int, int]:
  """What shows later whether a file or folder below the root has changed."""
  try:
    status = os.stat(os.path.join(root, path))
  except FileNotFoundError:
    return path, 0, 0
  is_folder = stat.S_ISDIR(status.st_mode)
  return path, status.st_mtime_ns, -1 if is_folder else status.st_size
