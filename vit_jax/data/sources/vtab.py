"""The tasks of VTAB-1k, "vtab:TASK": 1000 examples to train on, and a test.

Splits: "train800" and "val200" to choose hyper-parameters with,
"train800val200" for the final training, and "test". See data/vtab.py.
"""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.data import sources, vtab
from vit_jax.data.sources import tfds as tfds_source
from vit_jax.preprocess import decode


class Vtab(sources.Source):
  """A split of a task: "image", "label" and "id" alone.

  Args:
    name: of the task.
    split: of the task.
    inner: the same examples as TFDS gives them.
  """

  def __init__(self, name: str, split: str, inner: tfds_source.Tfds):
    self._arguments = (name, split, inner)
    self._task = vtab.task(name)
    self._inner = inner
    self.num_classes = self._task.num_classes
    self.class_names = self._task.class_names or inner.class_names
    self.fingerprint: dict[str, Any] = {
      **inner.fingerprint,
      "name": f"vtab:{name}",
      "split": split,
      "of": inner.fingerprint["name"],
    }

  def __reduce__(self):
    return Vtab, self._arguments

  def __len__(self) -> int:
    return len(self._inner)

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._inner[index]
    image = example["image"]
    if self._task.binary:
      to_grey = decode.Decode(channels=1)
      image = to_grey(example, np.random.default_rng(0))["image"] * 255
    label = self._task.label(example)
    if not 0 <= label < self.num_classes:
      raise errors.DataError(
        f"{self.where(index)} has the label {label}, not one of"
        f" {self.num_classes} classes"
      )
    return {"image": image, "label": label, "id": index}

  def where(self, index: int) -> str:
    return self._inner.where(index)


def open_source(rest: str, split: str, data_dir: str) -> Vtab:
  """A split of the task `rest`.

  Raises:
    ConfigError: no such task or split, or its data set is not prepared.
  """
  task = vtab.task(rest)
  directory = tfds_source.find(task.data, data_dir)
  info = tfds.builder_from_directory(directory).info
  tfds_source.check_format(info, task.data)
  sizes = {k: v.num_examples for k, v in info.splits.items()}
  known = vtab.splits(task, sizes)
  if split not in known:
    raise errors.ConfigError(
      f"{{split}} is no split of vtab:{rest}"
      f"{errors.did_you_mean(split, known)} (splits: {', '.join(known)})",
      {"split": split},
    )
  return Vtab(rest, split, tfds_source.Tfds(directory, known[split]))


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits that each task has."""
  del rest, data_dir
  return (*vtab.SIZES, "test")
