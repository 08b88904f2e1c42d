"""ImageNet-ReaL, "real:FILE": tfds:imagenet2012 with the labels of real.json.

Splits are parts of tfds:imagenet2012's validation split. An example's "label"
is int32 [K], padded with -1; where all of it is -1 the image does not count in
the score.
"""

import hashlib
from typing import Any

import numpy as np

from vit_jax.core import errors
from vit_jax.data import real, sources
from vit_jax.data.sources import tfds as tfds_source

_DATA = "imagenet2012"


class Real(sources.Source):
  """Validation images with their reassessed labels.

  Args:
    inner: of imagenet2012.
    labels: see real.read.
  """

  def __init__(self, inner: tfds_source.Tfds, labels: np.ndarray):
    self._inner, self._labels = inner, labels
    self.num_classes = inner.num_classes
    self.class_names = inner.class_names
    self.fingerprint: dict[str, Any] = {
      **inner.fingerprint,
      "name": "real",
      "of": inner.fingerprint["name"],
      "labels": hashlib.sha256(labels.tobytes()).hexdigest()[:16],
    }

  def __len__(self) -> int:
    return len(self._inner)

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._inner[index]
    name = example["file_name"].decode("utf-8", "backslashreplace")
    try:
      labels = self._labels[real.row(name, len(self._labels))]
    except ValueError as e:
      raise errors.DataError(f"{self.where(index)}: the image {e}") from e
    return {"image": example["image"], "label": labels, "id": index}

  def where(self, index: int) -> str:
    return self._inner.where(index)


def open_source(rest: str, split: str, data_dir: str) -> Real:
  """A split of imagenet2012 with the labels in the file `rest`.

  Raises:
    ConfigError: no such file or split, or ImageNet is not prepared.
    DataError: the file is not of ReaL's form.
  """
  if not split.startswith("validation"):
    raise errors.ConfigError(
      "{split} must be of the validation images, the only ones with reassessed"
      " labels",
      {"split": split},
    )
  return Real(tfds_source.open_source(_DATA, split, data_dir), real.read(rest))


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The one split there is."""
  del rest, data_dir
  return ("validation",)
