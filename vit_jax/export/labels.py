"""Names of classes."""

import os

from vit_jax.core import errors
from vit_jax.data import class_names
from vit_jax.data.class_names import IMAGENET


def read(path: str | os.PathLike) -> tuple[str, ...]:
  """The names in a file that has one on each line.

  Raises:
    ConfigError: there is no such file, or it is not UTF-8 text.
  """
  try:
    return tuple(map(class_names.clean, class_names.read(path)))
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
    ConfigError: the file cannot be read, has another number of names, or
      contradicts the names that came with the checkpoint.
  """
  if not labels and known:
    return known, "of the checkpoint"
  if labels == IMAGENET or (not labels and num_classes == 1000):
    names = class_names.imagenet1k()
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
  if known:
    names, order = _in_order(names, known, labels)
    source += order
  return names, source


def _in_order(
  names: tuple[str, ...], known: tuple[str, ...], labels: str
) -> tuple[tuple[str, ...], str]:
  """Names in the order of the checkpoint's, and a phrase that says so.

  Names of which the checkpoint has none are other words for its classes, such
  as those of another language, in its order.

  Raises:
    ConfigError: the checkpoint has some of the names, for other classes.
  """
  remedy = "name the checkpoint's classes, or leave --labels out"
  try:
    numbers = class_names.numbers(
      names, known, f"labels={labels}", "the checkpoint", remedy
    )
  except errors.ConfigError:
    both = set(names) & set(known)
    pairs = zip(names, known, strict=True)
    if any(ours != theirs and ours in both for ours, theirs in pairs):
      raise
    return names, ", in other words than the checkpoint's"
  if numbers is None or list(numbers) == sorted(numbers):
    return names, ""
  ordered = dict(zip(numbers, names, strict=True))
  return tuple(
    ordered[k] for k in range(len(names))
  ), ", in the checkpoint's order"
