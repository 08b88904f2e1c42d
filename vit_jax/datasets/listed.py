"""Data sets to be written from the images of a folder or a manifest."""

from collections.abc import Iterator, Mapping
import io
import os
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.data import manifest, paths, progress, summary
from vit_jax.data.sources import folder as folder_source
from vit_jax.datasets import archives, fetch, planned, write


def folder(
  path: str, name: str, version: str, data_dir: str, on_error: str
) -> write.Recipe:
  """A folder of classes, or a manifest with one label per image.

  For errors see folder.open_index.
  """
  index = folder_source.open_index("folder", path)
  source_name = f"folder:{path}"
  opened = {
    split: folder_source.Files(index, source_name, split)
    for split in index.splits
  }
  for line in summary.lines(source_name, opened):
    progress.say(line)

  def listing() -> Iterator[tuple[str, planned.Item]]:
    for split, (start, stop) in index.splits.items():
      for row in range(start, stop):
        inner = os.fsdecode(index.path(row))
        item = {
          "key": inner,
          "path": os.path.join(index.root, inner),
          "size": int(index.columns["sizes"][row]),
          "label": int(index.labels(row)[0]),
        }
        yield split, item

  digests = ", ".join(d[:16] for d in index.digests.values())
  label = _class_label(list(index.class_names), index.num_classes)
  return write.Recipe(
    info=tfds.core.DatasetInfo(
      builder=write.identity(name, version, data_dir),
      description=f"The images of the folder {paths.last_name(path)}.",
      features=_features({"label": label}),
      supervised_keys=("image", "label"),
    ),
    source=f"folder:{os.path.abspath(path)} ({digests})",
    listing=listing,
    read=example,
    on_error=on_error,
  )


def multilabel(
  path: str, name: str, version: str, data_dir: str, on_error: str
) -> write.Recipe:
  """A manifest with several labels per image, in files or at URLs.

  Raises:
    ConfigError: there is no such manifest.
    DataError: it cannot be read.
  """
  if not path.endswith((".csv", ".jsonl")) or not os.path.isfile(path):
    raise errors.ConfigError(
      f"{{name}}: {path or 'nothing'} is no *.csv or *.jsonl file on this"
      " machine",
      {"name": f"multilabel:{path}"},
    )
  known = manifest.survey(path)
  names = known.class_names[:5] or ["they have no names"]
  progress.say(
    f"multilabel:{path}: {known.num_classes:,} classes: {', '.join(names)}"
    f"{', ...' if len(known.class_names) > 5 else ''}"
  )
  root = os.path.dirname(os.path.abspath(path))

  def listing() -> Iterator[tuple[str, planned.Item]]:
    for split, place, labels, confidences in manifest.examples(path, known):
      item: planned.Item = {"key": place, "labels": labels}
      if known.has_confidence:
        item["confidences"] = confidences
      if not manifest.is_url(place):
        item["path"] = os.path.join(root, place)
        item["size"] = paths.file_size(item["path"])
      yield split, item

  status = os.stat(path)
  classes = _class_label(known.class_names, known.num_classes)
  features: dict[str, Any] = {"labels": tfds.features.Sequence(classes)}
  if known.has_confidence:
    features["confidences"] = tfds.features.Sequence(np.float32)
  return write.Recipe(
    info=tfds.core.DatasetInfo(
      builder=write.identity(name, version, data_dir),
      description=f"The images of the manifest {paths.last_name(path)}.",
      features=_features(features),
    ),
    source=(
      f"multilabel:{os.path.abspath(path)} ({status.st_size} bytes of"
      f" {status.st_mtime_ns})"
    ),
    listing=listing,
    read=example,
    metadata={"num_labels": max(1, known.most_labels)},
    on_error=on_error,
  )


def example(item: planned.Item) -> dict[str, Any]:
  """Reads an item from its file, or from a part of it, or downloads it."""
  if "offset" in item:
    where = item["key"]
    data = archives.read(item["path"], item["offset"], item["size"], where)
  elif "path" in item:
    where = paths.printable(item["path"])
    data = archives.read(item["path"], 0, item["size"])
  else:
    where = item["key"]
    data = fetch.fetch(where)
  archives.check_image(data, where)
  labels = {k: item[k] for k in ("label", "labels", "confidences") if k in item}
  file_name = paths.printable(item["key"])
  return {"image": io.BytesIO(data), "file_name": file_name, **labels}


def _features(labels: Mapping[str, Any]) -> tfds.features.FeaturesDict:
  image, text = tfds.features.Image(), tfds.features.Text()
  return tfds.features.FeaturesDict(
    {"image": image, **labels, "file_name": text}
  )


def _class_label(names: list[str], number: int) -> tfds.features.ClassLabel:
  if names:
    return tfds.features.ClassLabel(names=names)
  return tfds.features.ClassLabel(num_classes=number)
