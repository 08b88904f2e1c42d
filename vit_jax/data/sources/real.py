"""ImageNet-ReaL, "real:FILE": tfds:imagenet2012 with the labels of real.json.

The file holds a list of labels for each validation image, in the order of
their names from ILSVRC2012_val_00000001.JPEG on. An empty list means that none
of the 1000 classes fits; such an image does not count in the score. Source:
arXiv:2006.07159 and github.com/google-research/reassessed-imagenet.

Splits are parts of the validation split of tfds:imagenet2012. An example's
"label" is int32 [K], padded with -1.
"""

import hashlib
import json
import pathlib
import re
from typing import Any

import numpy as np

from vit_jax.core import errors
from vit_jax.data import base, paths
from vit_jax.data.sources import tfds as tfds_source

NUM_CLASSES = 1000
# Of the published file of 388,478 bytes, as TFDS has it for imagenet2012_real.
SHA256 = "d83e9bff374c631aae8439eb064c7019acc56e1b3bc3f56b8380c2a710b0220b"
_DATA = "imagenet2012"
_MAX_BYTES = 16 << 20
placeless = paths.last_name
_FILE_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


class Real(base.Wrapped):
  """Images of imagenet2012 with their reassessed labels; see `read`."""

  def __init__(self, images: base.Source, labels: np.ndarray):
    super().__init__(images)
    self._labels = labels
    self.fingerprint: dict[str, Any] = {
      **images.fingerprint,
      "name": "real",
      "of": images.fingerprint["name"],
      "labels": hashlib.sha256(labels.tobytes()).hexdigest()[:16],
    }

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._source[index]
    name = example["file_name"].decode("utf-8", "backslashreplace")
    match = _FILE_NAME.fullmatch(name)
    rows = len(self._labels)
    if not match or not 1 <= int(match[1]) <= rows:
      raise errors.DataError(
        f"{self.where(index)}: the image is named {name!r}, not"
        f" ILSVRC2012_val_00000001.JPEG to ILSVRC2012_val_{rows:08}.JPEG"
      )
    labels = self._labels[int(match[1]) - 1]
    return {"image": example["image"], "label": labels, "id": index}


def open_source(rest: str, split: str, data_dir: str) -> Real:
  """A split of imagenet2012 with the labels in the file `rest`.

  Raises:
    ConfigError: no such file or split, or ImageNet is not prepared.
    DataError: the file does not have the form of real.json.
  """
  if not split.startswith("validation"):
    raise errors.ConfigError(
      "{split} must be of the validation images, the only ones with reassessed"
      " labels",
      {"split": split},
    )
  return Real(tfds_source.open_source(_DATA, split, data_dir), read(rest))


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The only split."""
  return ("validation",)


def read(file: str) -> np.ndarray:
  """Labels by image, int32 [images, K], padded with -1.

  K is the largest number of labels of an image.

  Raises:
    ConfigError: there is no such file.
    DataError: not a list of lists of classes.
  """
  path = pathlib.Path(file).expanduser()
  try:
    if path.stat().st_size > _MAX_BYTES:
      raise errors.DataError(
        f"{file} has more than {_MAX_BYTES} bytes: it is not real.json"
      )
    lists = json.loads(path.read_bytes())
  except OSError as e:
    raise errors.ConfigError(
      f"{file} cannot be read ({e.strerror}): download real.json from"
      " github.com/google-research/reassessed-imagenet"
    ) from e
  except (ValueError, RecursionError) as e:
    raise errors.DataError(
      f"{file} is not JSON ({e}); download it again"
    ) from e
  if not isinstance(lists, list) or not lists:
    raise errors.DataError(f"{file} must be a list with a list for each image")
  for i, labels in enumerate(lists):
    if not _are_classes(labels):
      raise errors.DataError(
        f"{file}: entry {i} is {repr(labels)[:60]}, not a list of classes"
        f" within 0..{NUM_CLASSES - 1}"
      )
  table = np.full((len(lists), max(1, *map(len, lists))), -1, np.int32)
  for row, labels in zip(table, lists, strict=True):
    row[: len(labels)] = labels
  return table


def is_published(file: str) -> bool:
  """Whether a file that `read` accepts is the published one."""
  data = pathlib.Path(file).expanduser().read_bytes()
  return hashlib.sha256(data).hexdigest() == SHA256


def _are_classes(labels: object) -> bool:
  # In Python True and False are numbers; they are not classes.
  return isinstance(labels, list) and all(
    type(c) is int and 0 <= c < NUM_CLASSES for c in labels
  )
