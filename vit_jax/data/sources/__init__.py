"""Where examples come from: one module for each scheme of a data set's name.

A name is "scheme:rest"; the scheme is the file name of a module of this
package, whose `open_source(rest, split, data_dir)` returns the Source and whose
`split_names(rest, data_dir)` the splits there are.
"""

import importlib
import pkgutil
import types
from typing import Any, Protocol

from vit_jax.core import errors


class Source(Protocol):
  """Random access to the examples of one split; sources derive from it.

  Safe to read from several threads, and to pickle: files are opened again in
  each process.

  Attributes:
    num_classes: of the feature "label"; 0 where it is not of classes.
    class_names: by class; empty where nobody named them.
    fingerprint: name, version, split and shard sizes, as JSON; what must be
      the same when a run goes on. Never the contents.
  """

  num_classes: int
  class_names: tuple[str, ...]
  fingerprint: dict[str, Any]

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> dict[str, Any]:
    """The raw features of an example.

    Among them "image" (encoded, or uint8 [h, w, c]), "label" (a number, or
    int32 [K] padded with -1 where there are several), and "id", which is
    `index`.

    Raises:
      DataError: it cannot be read; the text begins with `where(index)`.
    """
    ...

  def where(self, index: int) -> str:
    """The file and record of an example, for errors."""
    return f"record {index}"

  @property
  def parts(self) -> tuple[tuple[int, int], ...]:
    """(examples, weight) of parts that follow each other; see mix.py."""
    return ((len(self), 1),)


def scheme(name: str) -> str:
  """The scheme of a data set's name.

  Raises:
    ConfigError: there is no such scheme.
  """
  found = name.partition(":")[0]
  known = sorted(m.name for m in pkgutil.iter_modules(__path__))
  if found not in known:
    raise errors.ConfigError(
      f"{{name}}: unknown scheme {found}{errors.did_you_mean(found, known)}"
      f" (a name is scheme:rest, with the schemes {', '.join(known)})",
      {"name": name},
    )
  return found


def open_source(name: str, split: str, data_dir: str = "") -> Source:
  """Opens a split of a data set.

  Args:
    name: "tfds:NAME[/CONFIG][:VERSION]", "folder:PATH", "multilabel:PATH",
      "vtab:TASK", "real:FILE", "mix:WEIGHT*NAME+..." or
      "synthetic[:NxHxWxCxCLASSES]".
    split: such as "train" or "train[:90%]".
    data_dir: where TFDS data sets are; "" is TFDS's own default.

  Raises:
    ConfigError: no such data set, version or split, or one that cannot be
      read at random.
  """
  return _module(name).open_source(name.partition(":")[2], split, data_dir)


def located(source: Source, index: int, error: Exception) -> str:
  """What is wrong with an example, with its file and record once."""
  # Ops know the number of a record alone, sources their files.
  text = str(error).removeprefix(f"record {index}: ")
  where = source.where(index)
  return text if text.startswith(where) else f"{where}: {text}"


def split_names(name: str, data_dir: str = "") -> tuple[str, ...]:
  """The splits of a data set; arguments as of `open_source`."""
  return _module(name).split_names(name.partition(":")[2], data_dir)


def _module(name: str) -> types.ModuleType:
  return importlib.import_module(f"{__name__}.{scheme(name)}")
