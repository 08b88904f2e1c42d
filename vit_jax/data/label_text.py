"""Class names as text: the same name is the same class, however it is written.

Names are exactly as written but for blanks around them and for their Unicode
form: macOS hands out file names decomposed (NFD), most of the rest of the world
writes them composed (NFC).
"""

from collections.abc import Iterable
import os
import pathlib
import unicodedata


def clean(name: str) -> str:
  """The name in Unicode's composed form, without blanks around it."""
  return unicodedata.normalize("NFC", name).strip()


def alike(names: Iterable[str]) -> list[list[str]]:
  """Groups of different names that are the same once they are clean."""
  groups: dict[str, list[str]] = {}
  for name in dict.fromkeys(names):
    groups.setdefault(clean(name), []).append(name)
  return [group for group in groups.values() if len(group) > 1]


def read(file: str | os.PathLike[str]) -> list[str]:
  """The names in a file that has one on each line, as they are written.

  A byte-order mark and blank lines at the end do not count.

  Raises:
    OSError, UnicodeDecodeError: it cannot be read, or is not UTF-8.
  """
  path = pathlib.Path(os.path.expanduser(file))
  lines = path.read_text(encoding="utf-8-sig").split("\n")
  while lines and not lines[-1].strip():
    lines.pop()
  return lines
