"""Names of classes."""

from importlib import resources
import os
import pathlib

from vit_jax.core import errors

IMAGENET = "imagenet1k"


def imagenet1k() -> tuple[str, ...]:
  """Names of ImageNet-1k's 1,000 classes, by label.

  Source: the synsets of WordNet 3.0, see the head of imagenet1k.txt.
  """
  text = resources.files(__package__).joinpath(f"{IMAGENET}.txt").read_text()
  rows = [row for row in text.splitlines() if not row.startswith("#")]
  return tuple(row.partition(" ")[2] for row in rows)


def read(path: str | os.PathLike) -> tuple[str, ...]:
  """Names from a file with one a line.

  Raises:
    ConfigError: there is no such file, or it is not UTF-8 text.
  """
  try:
    text = pathlib.Path(path).read_text(encoding="utf-8")
  except (OSError, UnicodeDecodeError) as e:
    reason = getattr(e, "strerror", "") or "it is not UTF-8 text"
    raise errors.ConfigError(
      f"labels={path} cannot be read: {reason}; give {IMAGENET} or a file with"
      " one class name a line"
    ) from e
  return tuple(text.splitlines())


def choose(
  said: str, known: tuple[str, ...], num_classes: int
) -> tuple[tuple[str, ...], str]:
  """The names of the classes, and where they come from.

  Args:
    said: "imagenet1k", a file, or "" for what is known.
    known: names that came with the checkpoint, or none.
    num_classes: C.

  Returns:
    The names, and a phrase; numbers where there are no names.

  Raises:
    ConfigError: the file cannot be read, or has another number of names.
  """
  if not said and known:
    return known, "of the checkpoint"
  if said == IMAGENET or (not said and num_classes == 1000):
    names = imagenet1k()
    source = "ImageNet-1k's" + ("" if said else ", as there are 1,000")
  elif said:
    names, source = read(said), f"of {said}"
  else:
    return tuple(map(str, range(num_classes))), "numbers; --labels names them"
  if len(names) != num_classes:
    raise errors.ConfigError(
      f"labels={said} has {len(names):,} names, but the model has"
      f" {num_classes:,} classes; give one name a line for each"
    )
  return names, source
