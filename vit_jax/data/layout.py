"""Which folders of a data set are splits and which are classes."""

import dataclasses
import os
import re

from vit_jax.core import errors
from vit_jax.data import class_names, index, paths, walk

# Names of splits; each is the name of the split that a config gives.
SPLITS = ("train", "val", "valid", "validation", "test")
_SAME = {"training": "train", "testing": "test", "dev": "val"}
_SPLIT = re.compile(rf"({'|'.join([*SPLITS, *_SAME])})(?:[ _-]?set)?")
# Folders of pictures, whatever is on them.
_PICTURES = frozenset({b"images", b"image", b"imgs", b"img", b"pictures"})
_MOST_WRAPPERS = 3
# By name of the class, in the order of bytes: split and folder of each part.
Classes = dict[bytes, list[tuple[str, bytes]]]


@dataclasses.dataclass
class Layout:
  """Where the classes of a data set are.

  Attributes:
    splits: their names.
    classes: see Classes; folders are paths below the root.
    watched: the folders that were looked at on the way.
    notes: what was decided, for people.
  """

  splits: list[str]
  classes: Classes
  watched: index.Watched
  notes: list[str]


def find(root: str) -> Layout:
  """Finds the splits and classes of a folder.

  Raises:
    DataError: what cannot be read, an image outside a class, no class at all,
      two readings, or two names that differ by blanks or Unicode form alone.
  """
  top = os.fsencode(root)
  layout = Layout([], {}, [index.watch(root, "")], [])
  base = _enter(top, layout)
  names = _folders(top, base)
  splits = _splits(top, base, names, layout) or {"train": base}
  for split, folder in splits.items():
    if folder != base:
      layout.watched.append(index.watch(root, os.fsdecode(folder)))
      folder, names = _of_split(top, split, folder, layout)
    for name in names:
      parts = layout.classes.setdefault(name, [])
      parts.append((split, os.path.join(folder, name)))
  if not layout.classes:
    raise errors.DataError(
      f"{paths.printable(root)} has no folders of classes; expected"
      " CLASS/IMAGE or SPLIT/CLASS/IMAGE below it, or give a manifest"
    )
  layout.splits = list(splits)
  layout.classes = dict(sorted(layout.classes.items()))
  _refuse_alike(top, layout.classes)
  _refuse_pictures(top, layout)
  return layout


def split_name(folder: bytes) -> str:
  """The split that a folder's name usually means; "" if it means none.

  The names in SPLITS stay as they are; other spellings (Train, TRAIN, training,
  train_set) are the same split.
  """
  match = _SPLIT.fullmatch(os.fsdecode(folder).lower())
  return _SAME.get(match[1], match[1]) if match else ""


def _enter(top: bytes, layout: Layout) -> bytes:
  """The folder of splits or classes; b"" unless a single folder wraps them."""
  inner = b""
  passed = []
  for _ in range(_MOST_WRAPPERS + 1):
    here = walk.listing(top, inner)
    if here.images or not here.folders:
      break
    if len(here.folders) > 1 or split_name(here.folders[0]):
      if inner:
        layout.notes.append(
          f"the classes are in {paths.printable(inner)}, the only folder"
        )
      layout.watched += passed
      return inner
    inner = os.path.join(inner, here.folders[0])
    passed.append(index.watch(os.fsdecode(top), os.fsdecode(inner)))
  return b""


def _splits(
  top: bytes, base: bytes, names: list[bytes], layout: Layout
) -> dict[str, bytes]:
  """The folder of each split; {} if the folders are classes."""
  named = [name for name in names if split_name(name)]
  others = [name for name in names if not split_name(name)]
  if not named:
    return {}
  if others and not _are_splits(top, base, named, others, layout):
    return {}
  splits: dict[str, bytes] = {}
  for name in named:
    split = split_name(name)
    if split in splits:
      theirs = os.path.basename(splits[split])
      raise errors.DataError(
        f"{_printable(top, base)} has {paths.printable(theirs)} and"
        f" {paths.printable(name)}, which both mean the split {split}; rename"
        " or remove one of them"
      )
    splits[split] = os.path.join(base, name)
  return splits


def _are_splits(
  top: bytes,
  base: bytes,
  named: list[bytes],
  others: list[bytes],
  layout: Layout,
) -> bool:
  """Whether folders with the names of splits are splits, beside others."""
  inside = {n: walk.listing(top, os.path.join(base, n)) for n in named}
  if not any(here.folders for here in inside.values()):
    # A train or a valid part may be what is on the pictures.
    if len(named) == 1 and split_name(named[0]) != "test":
      return False
  else:
    walked = [walk.walk(top, os.path.join(base, name)) for name in others]
    if not any(other.images for other in walked):
      layout.watched += [seen for other in walked for seen in other.watched]
      layout.notes.append(f"folders without images: {_few(others)}")
      return True
  splits, rest = _few(named), _few(others)
  folder = paths.printable(os.path.join(top, base, named[0]))
  raise errors.DataError(
    f"{_printable(top, base)} has {splits} beside {rest}: read as splits,"
    f" {rest} would be left out; read as classes, {splits} would be among the"
    f" {len(named) + len(others)} classes; move or rename some, point to one"
    f" folder of classes (folder:{folder}), or list the images in a manifest"
  )


def _of_split(
  top: bytes, split: str, folder: bytes, layout: Layout
) -> tuple[bytes, list[bytes]]:
  """The folder of a split's classes, and their names."""
  names = _folders(top, folder, split)
  if len(names) != 1:
    return folder, names
  inner = os.path.join(folder, names[0])
  if names[0].lower() in _PICTURES or split_name(names[0]) == split:
    here = walk.listing(top, inner)
    if here.folders and not here.images:
      layout.watched.append(index.watch(os.fsdecode(top), os.fsdecode(inner)))
      layout.notes.append(f"the classes are in {paths.printable(inner)}")
      return inner, here.folders
  return folder, names


def _folders(top: bytes, inner: bytes, split: str = "") -> list[bytes]:
  """Names of the folders in a folder that may hold no image itself."""
  here = walk.listing(top, inner)
  if here.images:
    path = os.path.join(top, inner, here.images[0])
    why = ""
    if split:
      name = paths.printable(os.path.basename(inner))
      why = f" ({name} is read as a split; rename it if it is a class)"
    raise errors.DataError(
      f"{paths.printable(path)} is in no folder of a class; move it into one"
      f"{why}"
    )
  return here.folders


def _refuse_alike(top: bytes, classes: Classes) -> None:
  """Refuses names that are one class or two, and names of blanks alone."""
  folders = {paths.printable(name): p[0][1] for name, p in classes.items()}
  for group in class_names.alike(folders):
    first, other = (_printable(top, folders[name]) for name in group[:2])
    raise errors.DataError(
      f"{first!r} and {other!r} have names that differ by blanks or Unicode"
      f" form alone ({group[0]!a}, {group[1]!a}); put their images into"
      " one folder, or rename one of them"
    )
  for name, folder in folders.items():
    if not class_names.clean(name):
      raise errors.DataError(
        f"{_printable(top, folder)!r} has a name of blanks; rename it"
      )


def _refuse_pictures(top: bytes, layout: Layout) -> None:
  """Refuses a split whose images are in no class, as of Tiny ImageNet."""
  for name, parts in layout.classes.items():
    if name.lower() not in _PICTURES or len(layout.classes) == 1:
      continue
    for split, folder in parts:
      alone = all(
        split not in dict(others)
        for other, others in layout.classes.items()
        if other != name
      )
      if alone and len(layout.splits) > 1:
        raise errors.DataError(
          f"{_printable(top, folder)} is the only folder of the split {split}:"
          f" read as a class, {paths.printable(name)} would be one of"
          f" {len(layout.classes):,}; read as images without classes, the split"
          " has none; point to the folder of another split (folder:"
          f"{paths.printable(top)}/...), sort the images into classes, or list"
          " them in a manifest"
        )


def _printable(top: bytes, inner: bytes) -> str:
  return paths.printable(os.path.join(top, inner) if inner else top)


def _few(names: list[bytes]) -> str:
  shown = [paths.printable(name) for name in names[:4]]
  return ", ".join([*shown, *(["..."] if len(names) > 4 else [])])
