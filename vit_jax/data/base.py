"""What a data set is to the rest of the package, and how one is opened.

A data set's name is "scheme:rest". The scheme is a module that keeps the
contract `SourceModule`: the name of a file in data/sources, such as "folder",
or with a dot in it a module from anywhere, such as "mylab.sources.video". The
module alone knows what the rest of the name means.
"""

import pkgutil
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from vit_jax.core import errors, parts
from vit_jax.data import sources


@runtime_checkable
class Source(Protocol):
  """Random access to the examples of one split; every source derives from it.

  A source may be read by several threads at once. It can be pickled; a worker
  process that unpickles it opens the files again.

  Attributes:
    num_classes: number of classes of the feature "label"; 0 if labels are not
      classes.
    class_names: names by class; empty if the classes have no names.
    fingerprint: name, version, split and shard sizes, as JSON. A resumed run
      must find the same. It never depends on the contents of files.
  """

  num_classes: int
  class_names: tuple[str, ...]
  fingerprint: dict[str, Any]

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> dict[str, Any]:
    """The raw features of an example.

    Among them are "image" (encoded, or uint8 [h, w, c]), "label" (a number, or
    int32 [K] padded with -1 where an example has several) and "id", which is
    `index`.

    Raises:
      DataError: it cannot be read; the message begins with `where(index)`.
      IndexError: there is no such example.
    """
    ...

  def where(self, index: int) -> str:
    """The file and record of an example, for error messages."""
    return f"record {index}"

  def known_labels(self) -> np.ndarray | None:
    """The class of each example, int32 [n]; None unless it is known at once."""
    return None

  def notes(self) -> list[str]:
    """What was found besides the examples, and decided, for people."""
    return []

  @property
  def parts(self) -> tuple[tuple[int, int], ...]:
    """(examples, weight) of each part of a mixture, in order; see mix.py."""
    return ((len(self), 1),)


class Wrapped(Source):
  """The examples of another source, which a class derived from it changes."""

  def __init__(self, source: Source):
    self._source = source
    self.num_classes = source.num_classes
    self.class_names = source.class_names
    self.fingerprint = source.fingerprint

  def __len__(self) -> int:
    return len(self._source)

  def where(self, index: int) -> str:
    return self._source.where(index)

  def notes(self) -> list[str]:
    return self._source.notes()


class SourceModule(Protocol):
  """What a module must define whose name is the scheme of a data set.

  It may define `placeless(rest)` as well: `rest` without the place where the
  data lies, such as the last name of a path. A run may find its data in another
  place when it is resumed, and by its fingerprint knows it again. Of a module
  without that function the whole name counts.
  """

  def open_source(self, rest: str, split: str, data_dir: str) -> Source:
    """Opens a split, as the function `open_source` below.

    `rest` is what follows the scheme in the data set's name. Sources of other
    data than TFDS's ignore `data_dir`.

    Raises:
      ConfigError: no such data set or split.
    """
    ...

  def split_names(self, rest: str, data_dir: str) -> tuple[str, ...]:
    """The splits that a data set has; arguments as in `open_source`."""
    ...


DEFINES = {"open_source": None, "split_names": None}


def open_source(name: str, split: str, data_dir: str = "") -> Source:
  """Opens a split of a data set.

  Args:
    name: "scheme:rest", such as "tfds:digits" or "folder:photos".
    split: such as "train" or "train[:90%]".
    data_dir: where TFDS data sets are; "" is TFDS's own default.

  Raises:
    ConfigError: no such data set, version or split, or one that cannot be
      read at random.
  """
  rest = name.partition(":")[2]
  return _module(name).open_source(rest, split, data_dir)


def split_names(name: str, data_dir: str = "") -> tuple[str, ...]:
  """The splits of a data set; arguments as in `open_source`."""
  return _module(name).split_names(name.partition(":")[2], data_dir)


def placeless(name: str) -> str:
  """A data set's name without the place where it lies."""
  module: Any = _module(name)
  if not hasattr(module, "placeless"):
    return name
  prefix, _, rest = name.partition(":")
  return f"{prefix}:{module.placeless(rest)}"


def is_same(name: str, other: str) -> bool:
  """Whether two names are of one data set, if perhaps in another place."""
  if name == other or scheme(name) != other.partition(":")[0]:
    return name == other
  return placeless(name) == placeless(other)


def schemes() -> list[str]:
  """The sources of this package."""
  return sorted(m.name for m in pkgutil.iter_modules(sources.__path__))


def scheme(name: str) -> str:
  """The scheme of a data set's name; nothing is imported.

  Raises:
    ConfigError: neither a source of this package nor a module's dotted name.
  """
  prefix = name.partition(":")[0]
  words = prefix.split(".")
  known = schemes()
  is_dotted = len(words) > 1 and all(map(str.isidentifier, words))
  if prefix not in known and not is_dotted:
    raise errors.ConfigError(
      f"{{name}}: unknown scheme {prefix}{errors.did_you_mean(prefix, known)}"
      f" (a name is scheme:rest, where scheme is one of {', '.join(known)}, or"
      " a module of your own such as mylab.video)",
      {"name": name},
    )
  return prefix


def _module(name: str) -> SourceModule:
  """The module that a data set's name begins with, which may be anybody's."""
  module = parts.find(sources.__name__, scheme(name), contract=__name__)
  return cast(SourceModule, module)


def describe_error(source: Source, index: int, error: Exception) -> str:
  """What is wrong with an example, with its file and record named once."""
  # Ops know only the number of a record, sources know its file.
  text = str(error).removeprefix(f"record {index}: ")
  where = source.where(index)
  return text if text.startswith(where) else f"{where}: {text}"
