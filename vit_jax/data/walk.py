"""Finds the images below a folder, for every command in the same way.

Links are followed. Names that begin with a dot are left out (also the ._x.jpg
of macOS and .ipynb_checkpoints), and so is what other programs put among
pictures: thumbnails, wastebaskets and the like.
"""

from collections import Counter
import dataclasses
import os

from vit_jax.core import errors
from vit_jax.data import index, paths
from vit_jax.preprocess import decode

# Folders and files that are nobody's pictures, in small letters.
_FOREIGN = frozenset(
  {
    *(b"@eadir", b"@recycle", b"#recycle", b"#snapshot", b"__macosx"),
    *(b"$recycle.bin", b"system volume information", b"lost+found"),
    *(b"__pycache__", b"thumbs.db", b"ehthumbs.db", b"desktop.ini"),
  }
)
# Kinds of images that nothing here decodes, by suffix.
_UNREAD = frozenset(
  {
    *(b".heic", b".heif", b".hif", b".jp2", b".j2k", b".jpx", b".jxl"),
    *(b".svg", b".ico", b".psd", b".xcf", b".tga", b".exr", b".dcm"),
    *(b".ppm", b".pgm", b".pbm", b".pnm"),
    *(b".dng", b".cr2", b".cr3", b".nef", b".arw", b".orf", b".rw2", b".raf"),
  }
)
_READ = frozenset(os.fsencode(suffix) for suffix in decode.SUFFIXES)


@dataclasses.dataclass
class Found:
  """What is in a folder: names of `listing`, paths below the top of `walk`.

  Attributes:
    images: in the order of their names' bytes.
    others: files that are no images.
    unread: how many images are of a kind that is not read, by suffix.
    folders: as the images.
    watched: all folders that were looked at.
  """

  images: list[bytes] = dataclasses.field(default_factory=list)
  others: list[bytes] = dataclasses.field(default_factory=list)
  unread: Counter[str] = dataclasses.field(default_factory=Counter)
  folders: list[bytes] = dataclasses.field(default_factory=list)
  watched: index.Watched = dataclasses.field(default_factory=list)


def listing(top: bytes, inner: bytes) -> Found:
  """What is directly in the folder `inner` below `top`; or a DataError."""
  here = Found()
  path = os.path.join(top, inner) if inner else top
  with paths.reading(path), os.scandir(path) as entries:
    visible = [e for e in entries if not _is_foreign(e.name)]
  for entry in sorted(visible, key=lambda e: e.name):
    suffix = os.path.splitext(entry.name)[1].lower()
    with paths.reading(entry.path):
      is_folder = entry.is_dir()
    if is_folder:
      here.folders.append(entry.name)
    elif suffix in _READ:
      here.images.append(entry.name)
    elif suffix in _UNREAD:
      here.unread[os.fsdecode(suffix)] += 1
    else:
      here.others.append(entry.name)
  return here


def _is_foreign(name: bytes) -> bool:
  return name.startswith(b".") or name.lower() in _FOREIGN


def walk(
  top: bytes, inner: bytes = b"", above: tuple[tuple[int, int], ...] = ()
) -> Found:
  """The files below the folder `inner` of `top`, also in folders of folders.

  `above` has device and number of each folder on the way from `top`.

  Raises:
    DataError: what cannot be read, or a loop of links.
  """
  folder = os.path.join(top, inner)
  with paths.reading(folder):
    status = os.stat(folder)
  identity = (status.st_dev, status.st_ino)
  if identity in above:
    raise errors.DataError(
      f"{paths.printable(folder)} is a link to a folder that it is in; remove"
      " it"
    )
  here = listing(top, inner)
  whole = Found(
    others=[os.path.join(inner, name) for name in here.others],
    unread=here.unread,
    watched=[index.watch(os.fsdecode(top), os.fsdecode(inner))],
  )
  # Images and folders in the order of their names.
  folders = set(here.folders)
  for name in sorted([*here.images, *here.folders]):
    path = os.path.join(inner, name)
    if name not in folders:
      whole.images.append(path)
      continue
    below = walk(top, path, (*above, identity))
    whole.images += below.images
    whole.watched += below.watched
    whole.others += below.others
    whole.unread += below.unread
  return whole


def unread_text(unread: dict[str, int]) -> str:
  """How many images are not read and of which kinds; "" if there are none."""
  if not unread:
    return ""
  kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(unread.items()))
  return (
    f"images that cannot be read and are left out: {kinds} (convert them to"
    " JPEG or PNG)"
  )
