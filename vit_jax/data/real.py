"""ImageNet-ReaL: the reassessed labels of ILSVRC-2012's validation images.

A file `real.json` with a list of labels for each image, in the order of their
names from ILSVRC2012_val_00000001.JPEG on; an empty list says that none of the
1000 classes fits, and the image does not count. Source: arXiv:2006.07159 and
github.com/google-research/reassessed-imagenet.
"""

import hashlib
import json
import pathlib
import re

import numpy as np

from vit_jax.core import errors

NUM_CLASSES = 1000
# Of the published file of 388,478 bytes, as TFDS has it for imagenet2012_real.
SHA256 = "d83e9bff374c631aae8439eb064c7019acc56e1b3bc3f56b8380c2a710b0220b"
_MAX_BYTES = 16 << 20
_FILE_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


def read(file: str) -> np.ndarray:
  """Labels by image, int32 [images, K], padded with -1.

  K is the most labels that an image has.

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
    raise errors.DataError(f"{file} is no JSON ({e}); download it again") from e
  if not isinstance(lists, list) or not lists:
    raise errors.DataError(f"{file} must be a list with a list for each image")
  for i, labels in enumerate(lists):
    if not _are_classes(labels):
      shown = repr(labels)[:60]
      raise errors.DataError(
        f"{file}: entry {i} is {shown}, not a list of classes within"
        f" 0..{NUM_CLASSES - 1}"
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
  # In Python true and false are numbers, here they are not.
  return isinstance(labels, list) and all(
    type(c) is int and 0 <= c < NUM_CLASSES for c in labels
  )


def row(file_name: str, rows: int) -> int:
  """The entry of an image, by the name of its file.

  Raises:
    ValueError: not a validation image, or beyond the `rows` that there are.
  """
  match = _FILE_NAME.fullmatch(file_name)
  if not match or not 1 <= int(match[1]) <= rows:
    raise ValueError(
      f"is named {file_name!r}, not ILSVRC2012_val_00000001.JPEG to"
      f" ILSVRC2012_val_{rows:08}.JPEG"
    )
  return int(match[1]) - 1
