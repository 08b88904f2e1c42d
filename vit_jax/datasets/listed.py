"""Data sets of a folder's images, or of a manifest's, to be written anew."""

from collections.abc import Iterator
import functools
import io
import os
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.data import files, manifest, scan, table
from vit_jax.datasets import archives, fetch, images, planned, write


def folder(
  path: str, name: str, version: str, data_dir: str, on_error: str
) -> write.Recipe:
  """A folder of classes, or a manifest with a label an image.

  Raises:
    ConfigError, DataError: of files.open_index.
  """
  index = files.open_index("folder", path)
  features = tfds.features.FeaturesDict(
    {
      "image": tfds.features.Image(),
      "label": _classes(list(index.class_names), index.num_classes),
      "file_name": tfds.features.Text(),
    }
  )

  def listing() -> Iterator[tuple[str, planned.Item]]:
    for split, (start, stop) in index.splits.items():
      for row in range(start, stop):
        inner = os.fsdecode(index.path(row))
        yield (
          split,
          {
            "key": inner,
            "path": os.path.join(index.root, inner),
            "size": int(index.columns["sizes"][row]),
            "label": int(index.labels(row)[0]),
          },
        )

  digests = ", ".join(d[:16] for d in index.digests.values())
  return write.Recipe(
    info=tfds.core.DatasetInfo(
      builder=write.identity(name, version, data_dir),
      description=f"The images of the folder {_base(path)}.",
      features=features,
      supervised_keys=("image", "label"),
    ),
    source=f"folder:{os.path.abspath(path)} ({digests})",
    listing=listing,
    read=_of_folder,
    on_error=on_error,
  )


def multilabel(
  path: str, name: str, version: str, data_dir: str, on_error: str
) -> write.Recipe:
  """A manifest with several labels an image, in files or at URLs.

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
  found = os.stat(path)
  features = {
    "image": tfds.features.Image(),
    "labels": tfds.features.Sequence(
      _classes(known.class_names, known.num_classes)
    ),
    "file_name": tfds.features.Text(),
  }
  if known.has_confidence:
    features["confidences"] = tfds.features.Sequence(np.float32)
  return write.Recipe(
    info=tfds.core.DatasetInfo(
      builder=write.identity(name, version, data_dir),
      description=f"The images of the manifest {_base(path)}.",
      features=tfds.features.FeaturesDict(features),
    ),
    source=(
      f"multilabel:{os.path.abspath(path)} ({found.st_size} bytes of"
      f" {found.st_mtime_ns})"
    ),
    listing=functools.partial(_listed, path, known),
    read=_of_manifest,
    metadata={"num_labels": max(1, known.most_labels)},
    on_error=on_error,
  )


def _listed(
  path: str, known: manifest.Survey
) -> Iterator[tuple[str, planned.Item]]:
  root = os.path.dirname(os.path.abspath(path))
  for split, place, labels, confidences in manifest.examples(path, known):
    item: planned.Item = {"key": place, "labels": labels}
    if known.has_confidence:
      item["confidences"] = confidences
    if not manifest.is_url(place):
      item["path"] = os.path.join(root, place)
      item["size"] = scan.size(os.fsencode(root), os.fsencode(place))
    yield split, item


def _of_folder(item: planned.Item) -> dict[str, Any]:
  return {**_image(item), "label": item["label"]}


def _of_manifest(item: planned.Item) -> dict[str, Any]:
  more = {k: item[k] for k in ("labels", "confidences") if k in item}
  return {**_image(item), **more}


def _image(item: planned.Item) -> dict[str, Any]:
  if "path" in item:
    where = table.shown(item["path"])
    data = archives.read(item["path"], 0, item["size"])
  else:
    where = item["key"]
    data = fetch.fetch(where)
  images.check(data, where)
  return {"image": io.BytesIO(data), "file_name": table.shown(item["key"])}


def _classes(names: list[str], number: int) -> tfds.features.ClassLabel:
  if names:
    return tfds.features.ClassLabel(names=names)
  return tfds.features.ClassLabel(num_classes=number)


def _base(path: str) -> str:
  return table.shown(os.path.basename(os.path.abspath(path)))
