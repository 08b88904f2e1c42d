"""Class names as text, and whether two lists name the same classes.

Names are exactly as written but for blanks around them and for their Unicode
form: macOS hands out file names decomposed (NFD), most of the rest of the world
writes them composed (NFC).

Class k of a data set need not be class k of a model's head: folders that sort
in another way give their classes other numbers.
"""

from collections.abc import Iterable, Sequence
import functools
import os
import pathlib
import re
import unicodedata

from vit_jax.core import errors

IMAGENET = "imagenet1k"
REMEDY = (
  "give both the same names, in any order, or leave out those of one side if"
  " the order is the same"
)
_FILE = pathlib.Path(__file__).with_name(f"{IMAGENET}.txt")
# What transformers writes where the classes have no names.
_PLACEHOLDER = re.compile(r"LABEL_\d+")
# Lists of ImageNet's names in English share two thirds to all of their names
# with ours at the same place; lists in another order share less than 1%.
_SAME_ORDER = 500
_SHOWN = 3


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


@functools.cache
def _imagenet() -> tuple[tuple[str, str], ...]:
  """(WordNet id, synset) of ImageNet-1k's 1,000 classes, by label."""
  rows = _FILE.read_text(encoding="utf-8").splitlines()
  pairs = (row.partition(" ") for row in rows if not row.startswith("#"))
  return tuple((wnid, synset) for wnid, _, synset in pairs)


def imagenet1k() -> tuple[str, ...]:
  """Names of ImageNet-1k's 1,000 classes, by label.

  Source: the synsets of WordNet 3.0, see the head of imagenet1k.txt.
  """
  return tuple(synset for _, synset in _imagenet())


def are_known(names: Sequence[str]) -> bool:
  """Whether names tell more than the numbers of the classes.

  "LABEL_0", ... do not, nor do numbers in their order.
  """
  if _are_numbers(names):
    values = list(map(int, names))
    return values != sorted(set(values))
  return not all(map(_PLACEHOLDER.fullmatch, names))


def numbers(
  names: Sequence[str],
  known: Sequence[str],
  here: str,
  there: str,
  remedy: str = REMEDY,
) -> tuple[int, ...] | None:
  """The number that each class of `names` has among `known`.

  None if one of the lists does not tell names, so that labels can only be taken
  by number. Names are the same if they differ in case, underscores for blanks,
  Unicode form or leading zeros alone. ImageNet's 1,000 classes are also the
  same if one list has WordNet ids and the other has words.

  Raises:
    ConfigError: the lists, which are of `here` and `there`, name other classes.
  """
  if list(names) == list(known):
    return tuple(range(len(names)))
  for form in (_clean, _loose, _by_id):
    ours, theirs = form(names), form(known)
    if len(set(ours)) == len(ours) and sorted(ours) == sorted(theirs):
      places = {name: k for k, name in enumerate(theirs)}
      return tuple(places[name] for name in ours)
  both = _are_numbers(names) and _are_numbers(known)
  if not both and not (are_known(names) and are_known(known)):
    return None
  raise errors.ConfigError(
    f"{here} has other classes than {there}: {_difference(names, known)};"
    f" {remedy}"
  )


def _clean(names: Sequence[str]) -> list[str]:
  return list(map(clean, names))


def _loose(names: Sequence[str]) -> list[str]:
  """The names without what spelling alone may change."""
  words = (name.casefold().replace("_", " ").split() for name in _clean(names))
  texts = map(" ".join, words)
  return [str(int(text)) if text.isdecimal() else text for text in texts]


def _by_id(names: Sequence[str]) -> list[str]:
  """WordNet ids if the names are words for ImageNet-1k's classes in order."""
  rows = _imagenet()
  if len(names) == len(rows):
    pairs = zip(names, rows, strict=True)
    same = sum(bool(_words(name) & _words(row[1])) for name, row in pairs)
    if same >= _SAME_ORDER:
      return [wnid for wnid, _ in rows]
  return _loose(names)


def _words(synset: str) -> set[str]:
  return set(_loose(synset.split(",")))


def _are_numbers(names: Sequence[str]) -> bool:
  return bool(names) and all(map(str.isdecimal, names))


def _difference(names: Sequence[str], known: Sequence[str]) -> str:
  """The first names that only one of the lists has, and how many there are."""
  if _are_numbers(names) != _are_numbers(known):
    mine = names if _are_numbers(names) else known
    k = next(k for k, name in enumerate(mine) if int(name) != k)
    return (
      f"the names of one are numbers in another order than their own, so that"
      f" the class {mine[k]!r} may be label {int(mine[k])} or label {k}"
    )
  ours, theirs = _by_id(names), _by_id(known)
  sides = (
    ("alone has", names, ours, set(theirs)),
    ("lacks", known, theirs, set(ours)),
  )
  words = []
  for verb, all_names, keys, others in sides:
    pairs = zip(all_names, keys, strict=True)
    some = [name for name, key in pairs if key not in others]
    if some:
      more = ", ..." if len(some) > _SHOWN else ""
      words.append(
        f"it {verb} {', '.join(map(repr, some[:_SHOWN]))}{more}"
        f" ({len(some)} of {len(all_names)} names)"
      )
  if words:
    return " and ".join(words)
  twice = next(x for x, k in zip(names, ours, strict=True) if ours.count(k) > 1)
  return f"several classes are named {twice!r}, so that names do not tell them"
