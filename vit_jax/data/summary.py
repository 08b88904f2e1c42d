"""What a data set holds, in a line for each split, before work on it begins."""

from collections.abc import Mapping

import numpy as np

from vit_jax.data import base, paths

_FEW = 5


def lines(name: str, opened: Mapping[str, base.Source]) -> list[str]:
  """A line for each split, and one for whatever else was found with it."""
  out = []
  name = paths.printable(name)
  for split, source in opened.items():
    line = f"{name}, split {split}: {len(source):,} examples"
    if source.num_classes:
      line += f" of {source.num_classes:,} classes: {classes(source)}"
    out.append(line)
  for source in opened.values():
    out += [f"{name}: {note}" for note in source.notes()]
  return list(dict.fromkeys(out))


def classes(source: base.Source) -> str:
  """The first few classes, with their numbers of examples where known."""
  names = source.class_names or tuple(map(str, range(source.num_classes)))
  # On one line, whatever a folder is called.
  few = [" ".join(name.split()) for name in names[:_FEW]]
  labels = source.known_labels()
  if labels is not None:
    counts = np.bincount(labels, minlength=len(names))
    few = [f"{c} {counts[i]:,}" for i, c in enumerate(few)]
  if len(names) > _FEW:
    few.append("...")
  return ", ".join(few)
