"""Folders of images: CLASS/IMAGE, SPLIT/CLASS/IMAGE, or a manifest."""

from vit_jax.data import files


def open_source(rest: str, split: str, data_dir: str) -> files.Files:
  """A part of the images in a folder, or of those that a manifest lists.

  A folder with folders of classes has the one split "train"; parts of it such
  as "train[:90%]" and "train[90%:]" are the same on every machine, disjoint,
  and have each class in its share. Folders named train, val, valid, validation
  and test, and none beside them, are splits. For manifests see
  data/manifest.py.
  """
  del data_dir
  return files.Files(files.open_index("folder", rest), f"folder:{rest}", split)


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits of a folder or manifest."""
  del data_dir
  return tuple(files.open_index("folder", rest).splits)
