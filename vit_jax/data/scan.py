"""Finds the images of a folder: one directory a class, below splits or not."""

from concurrent import futures
import os

from vit_jax.core import errors
from vit_jax.data import index, paths, progress, table

# A folder that contains only folders of these names contains splits.
SPLITS = (b"train", b"val", b"valid", b"validation", b"test")
_IMAGES = (b".jpg", b".jpeg", b".png", b".gif", b".bmp", b".webp")
_THREADS = 16


def scan(root: str) -> tuple[table.Table, index.Watched, index.Ignored]:
  """The table of a folder, the folders it depends on, and what was ignored.

  Classes are numbered in the order of their names' bytes, over all splits.
  Names that begin with a dot are left out; links are followed.

  Raises:
    DataError: what cannot be read, a loop of links, an image outside a class,
      a class without images, or no class at all.
  """
  top = os.fsencode(root)
  watched = [index.watch(root, "")]
  names = _folders(top, b"")
  splits = names if names and set(names) <= set(SPLITS) else [b""]
  classes: dict[bytes, list[bytes]] = {}
  for split in splits:
    if split:
      watched.append(index.watch(root, os.fsdecode(split)))
      names = _folders(top, split)
    for name in names:
      classes.setdefault(name, []).append(os.path.join(split, name))
  if not classes:
    raise errors.DataError(
      f"{paths.printable(root)} has no folders of classes; expected"
      " CLASS/IMAGE or SPLIT/CLASS/IMAGE below it, or give a manifest"
    )
  classes = dict(sorted(classes.items()))
  out = table.Table(
    split_names=[os.fsdecode(s) or "train" for s in splits],
    class_names=[paths.printable(c) for c in classes],
    num_classes=len(classes),
  )
  folders = [
    (c, f) for c, folders in enumerate(classes.values()) for f in folders
  ]
  counts = [0] * len(classes)
  others: list[bytes] = []
  listed = progress.Progress(f"{paths.printable(top)}: listed", 0)
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    walks = pool.map(lambda folder: _walk(top, folder[1], ()), folders)
    for (label, folder), walk in zip(folders, walks, strict=True):
      files, seen, ignored = walk
      watched += seen
      others += ignored
      counts[label] += len(files)
      split = splits.index(os.path.dirname(folder))
      for path, size in files:
        out.add(path, size, [label], split)
      listed.add(len(files))
  for paths_of_class, count in zip(classes.values(), counts, strict=True):
    if not count:
      folder = paths.printable(os.path.join(top, paths_of_class[0]))
      raise errors.DataError(
        f"the class folder {folder} has no images"
        f" ({', '.join(os.fsdecode(e)[1:] for e in _IMAGES)}); fill or remove"
        " it"
      )
  return out, watched, (len(others), "".join(map(paths.printable, others[:1])))


def _folders(top: bytes, inner: bytes) -> list[bytes]:
  """Names of the folders in a folder that may hold no image itself."""
  folders = []
  for entry in _entries(top, inner):
    if _is_folder(entry):
      folders.append(entry.name)
    elif entry.name.lower().endswith(_IMAGES):
      raise errors.DataError(
        f"{paths.printable(entry.path)} is in no folder of a class; move it"
        " into one"
      )
  return folders


def _entries(top: bytes, inner: bytes) -> list[os.DirEntry[bytes]]:
  path = os.path.join(top, inner) if inner else top
  with paths.reading(path), os.scandir(path) as entries:
    visible = [e for e in entries if not e.name.startswith(b".")]
  return sorted(visible, key=lambda e: e.name)


def _walk(
  top: bytes, inner: bytes, above: tuple[tuple[int, int], ...]
) -> tuple[list[tuple[bytes, int]], index.Watched, list[bytes]]:
  """(path, size) of the images below a folder, all folders, other files."""
  folder = os.path.join(top, inner)
  with paths.reading(folder):
    status = os.stat(folder)
  identity = (status.st_dev, status.st_ino)
  if identity in above:
    raise errors.DataError(
      f"{paths.printable(folder)} is a link to a folder that it is in; remove"
      " it"
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
      files.append((path, paths.file_size(entry.path)))
    else:
      others.append(path)
  return files, folders, others


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
  with paths.reading(entry.path):
    return entry.is_dir()
