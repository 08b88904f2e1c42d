"""Finds the images of a folder: one directory a class, below splits or not."""

from collections.abc import Iterator
from concurrent import futures
import contextlib
import os
import stat
import sys
import time

from vit_jax.core import errors
from vit_jax.data import index, table

# Folders of these names, and no others beside them, are splits.
SPLITS = (b"train", b"val", b"valid", b"validation", b"test")
_IMAGES = (b".jpg", b".jpeg", b".png", b".gif", b".bmp", b".webp")
_THREADS = 16
_SAY_EVERY_S = 10.0


def scan(root: str) -> tuple[table.Table, index.Watched, tuple[int, str]]:
  """The table of a folder, the folders that were looked at, what was ignored.

  Classes are numbered in the order of their names' bytes, over all splits.
  Names that begin with a dot are nobody's; links are followed.

  Raises:
    DataError: what cannot be read, a loop of links, an image outside a class,
      a class without images, or no class at all.
  """
  top = os.fsencode(root)
  watched = [index.watch(root, "")]
  found = _folders(top, b"")
  splits = found if found and set(found) <= set(SPLITS) else []
  classes: dict[bytes, list[bytes]] = {}
  for split in splits or [b""]:
    if split:
      watched.append(index.watch(root, os.fsdecode(split)))
      found = _folders(top, split)
    for name in found:
      classes.setdefault(name, []).append(os.path.join(split, name))
  if not classes:
    raise errors.DataError(
      f"{table.shown(root)} has no folders of classes; expected"
      " CLASS/IMAGE or SPLIT/CLASS/IMAGE below it, or give a manifest"
    )
  out = table.Table(
    split_names=[os.fsdecode(s) for s in splits] or ["train"],
    class_names=[table.shown(c) for c in sorted(classes)],
    num_classes=len(classes),
  )
  ignored = _fill(out, top, classes, watched, splits or [b""])
  return out, watched, ignored


def _fill(
  out: table.Table,
  top: bytes,
  classes: dict[bytes, list[bytes]],
  watched: index.Watched,
  splits: list[bytes],
) -> tuple[int, str]:
  """Adds the files of every class; returns what was ignored."""
  jobs = [(i, f) for i, c in enumerate(sorted(classes)) for f in classes[c]]
  counts = [0] * len(classes)
  ignored, example = 0, ""
  said = time.monotonic()
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    results = pool.map(lambda job: _walk(top, job[1], ()), jobs)
    for (label, folder), part in zip(jobs, results, strict=True):
      files, folders, others = part
      watched += folders
      split = splits.index(os.path.dirname(folder))
      for path, size in files:
        out.names += path
        out.ends.append(len(out.names))
        out.sizes.append(size)
        out.labels.append(label)
        out.splits.append(split)
      counts[label] += len(files)
      ignored += len(others)
      example = example or "".join(map(table.shown, others[:1]))
      if time.monotonic() > said + _SAY_EVERY_S:
        said = time.monotonic()
        print(
          f"indexing {table.shown(top)}: {len(out.ends):,} files",
          file=sys.stderr,
          flush=True,
        )
  for name, count in zip(sorted(classes), counts, strict=True):
    if not count:
      folder = table.shown(os.path.join(top, classes[name][0]))
      raise errors.DataError(
        f"the class folder {folder} has no images"
        f" ({', '.join(os.fsdecode(e)[1:] for e in _IMAGES)}); fill or remove"
        " it"
      )
  return ignored, example


def _folders(top: bytes, inner: bytes) -> list[bytes]:
  """Names of the folders in a folder that may hold no image itself."""
  folders = []
  for entry in _entries(top, inner):
    if _is_folder(entry):
      folders.append(entry.name)
    elif entry.name.lower().endswith(_IMAGES):
      raise errors.DataError(
        f"{table.shown(entry.path)} is in no folder of a class; move it into"
        " one"
      )
  return folders


def _entries(top: bytes, inner: bytes) -> list[os.DirEntry[bytes]]:
  path = os.path.join(top, inner) if inner else top
  with _readable(path), os.scandir(path) as entries:
    visible = [e for e in entries if not e.name.startswith(b".")]
  return sorted(visible, key=lambda e: e.name)


def _walk(
  top: bytes, inner: bytes, above: tuple[tuple[int, int], ...]
) -> tuple[list[tuple[bytes, int]], index.Watched, list[bytes]]:
  """(path, size) of the images below a folder, all folders, other files."""
  found = _stat(os.path.join(top, inner))
  identity = (found.st_dev, found.st_ino)
  if identity in above:
    raise errors.DataError(
      f"{table.shown(os.path.join(top, inner))} is a link to a folder that it"
      " is in; remove it"
    )
  files, others = [], []
  folders = [index.watch(os.fsdecode(top), os.fsdecode(inner))]
  for entry in _entries(top, inner):
    path = os.path.join(inner, entry.name)
    if _is_folder(entry):
      more = _walk(top, path, (*above, identity))
      files += more[0]
      folders += more[1]
      others += more[2]
    elif entry.name.lower().endswith(_IMAGES):
      files.append((path, size(top, path)))
    else:
      others.append(path)
  return files, folders, others


def size(top: bytes, path: bytes) -> int:
  """Bytes of a file.

  Raises:
    DataError: it is not there, or no file that can be read to its end.
  """
  whole = os.path.join(top, path)
  found = _stat(whole)
  if not stat.S_ISREG(found.st_mode):
    raise errors.DataError(f"{table.shown(whole)} is no regular file")
  return found.st_size


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
  with _readable(entry.path):
    return entry.is_dir()


def _stat(path: bytes) -> os.stat_result:
  with _readable(path):
    return os.stat(path)


@contextlib.contextmanager
def _readable(path: bytes) -> Iterator[None]:
  """Names what the file system refuses."""
  try:
    yield
  except OSError as e:
    raise errors.DataError(
      f"{table.shown(path)} cannot be read: {e.strerror}"
    ) from e
