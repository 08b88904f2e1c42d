"""What a data set holds, in a line for each split, before work on it begins."""

from vit_jax.data import base, paths, walk
from vit_jax.data.sources import folder

_FEW = 5


def lines(name: str, opened: dict[str, base.Source]) -> list[str]:
  """A line for each split, and one for whatever else was found with it.

  Args:
    name: of the data set, as in the config.
    opened: its splits.
  """
  out = []
  name = paths.printable(name)
  for split, source in opened.items():
    line = f"{name}, split {split}: {len(source):,} examples"
    if source.num_classes:
      line += f" of {source.num_classes:,} classes: {classes(source)}"
    out.append(line)
  for source in opened.values():
    if isinstance(source, folder.Files):
      out += [f"{name}: {text}" for text in remarks(source)]
  return list(dict.fromkeys(out))


def classes(source: base.Source) -> str:
  """The first few classes, with their numbers of examples where known."""
  names = source.class_names or tuple(map(str, range(source.num_classes)))
  # On one line, whatever a folder is called.
  few = [" ".join(name.split()) for name in names[:_FEW]]
  if isinstance(source, folder.Files):
    counts = source.class_counts()
    few = [f"{c} {counts[i]:,}" for i, c in enumerate(few)]
  if len(names) > _FEW:
    few.append("...")
  return ", ".join(few)


def remarks(source: folder.Files) -> list[str]:
  """What was found with the images of a folder or a manifest, and decided."""
  found = source.remarks
  out = list(found.notes)
  count, example = found.ignored
  if count:
    out.append(f"ignored: {count:,} other files, such as {example}")
  if found.unread:
    out.append(walk.unread_text(found.unread))
  return out
