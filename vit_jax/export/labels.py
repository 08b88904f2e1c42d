"""Names of classes."""

import os
import pathlib

from vit_jax.core import errors
from vit_jax.data import label_text

IMAGENET = "imagenet1k"
_FILE = pathlib.Path(__file__).with_name(f"{IMAGENET}.txt")


def imagenet1k() -> tuple[str, ...]:
  """Names of ImageNet-1k's 1,000 classes, by label.

  Source: the synsets of WordNet 3.0, see the head of imagenet1k.txt.
  """
  rows = _FILE.read_text().splitlines()
  return tuple(r.partition(" ")[2] for r in rows if not r.startswith("#"))


def read(path: str | os.PathLike) -> tuple[str, ...]:
  """The names in a file that has one on each line.

  Raises:
    ConfigError: there is no such file, or it is not UTF-8 text.
  """
  try:
    return tuple(map(label_text.clean, label_text.read(path)))
  except (OSError, UnicodeDecodeError) as e:
    reason = e.strerror if isinstance(e, OSError) else "it is not UTF-8 text"
    raise errors.ConfigError(
      f"labels={path} cannot be read: {reason}; give {IMAGENET} or a file with"
      " one class name a line"
    ) from e


def choose(
  labels: str, known: tuple[str, ...], num_classes: int
) -> tuple[tuple[str, ...], str]:
  """The names of the classes, and where they come from.

  Args:
    labels: "imagenet1k" or a file. With "" they are those of the checkpoint,
      else ImageNet-1k's if there are 1,000 classes, else numbers.
    known: names that came with the checkpoint, or none.
    num_classes: C.

  Returns:
    The names, and a phrase that says where they come from.

  Raises:
    ConfigError: the file cannot be read, or has another number of names.
  """
  if not labels and known:
    return known, "of the checkpoint"
  if labels == IMAGENET or (not labels and num_classes == 1000):
    names = imagenet1k()
    source = "ImageNet-1k's" + ("" if labels else ", as there are 1,000")
  elif labels:
    names, source = read(labels), f"of {labels}"
  else:
    return tuple(map(str, range(num_classes))), "numbers; --labels names them"
  if len(names) != num_classes:
    raise errors.ConfigError(
      f"labels={labels} has {len(names):,} names, but the model has"
      f" {num_classes:,} classes; give one name a line for each"
    )
  return names, source
