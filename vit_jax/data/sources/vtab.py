"""The 19 tasks of VTAB-1k, "vtab:TASK": which data, examples and labels.

Splits: "train800" and "val200" to choose hyper-parameters with,
"train800val200" for the final training, and "test".

Source: the Visual Task Adaptation Benchmark, arXiv:1910.04867, whose code
(google-research/task_adaptation, one file for each data set in its folder
`data`, at its splits train800 and val200) fixes slices and labels. They are
slices of TFDS data sets in TFDS's order, which is the same in all versions
with the same major number. The pets were version 3 then and are 4 now: the
order is by hashes of the file names, which did not change.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import numpy as np

from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.preprocess import decode

GROUPS = ("natural", "specialized", "structured")
SIZES = {"train800": 800, "val200": 200, "train800val200": 1000}


def _feature(example: Mapping[str, Any], *, name: str) -> int:
  return int(example[name])


def _grouped(example: Mapping[str, Any], *, name: str, values: int) -> int:
  """Sixteen groups of neighbouring values, which are 0 to `values` - 1."""
  return int(example[name]) * 16 // values


def _bin(value: Any, edges: tuple[float, ...]) -> int:
  """The bin that a value is in; an edge belongs to the bin below it."""
  return sum(bool(edge < value) for edge in edges) - 1


def clevr_count(example: Mapping[str, Any]) -> int:
  """Class k is a scene of k + 3 objects."""
  return len(example["objects"]["size"]) - 3


# Distance from the camera, in CLEVR's units.
_CLEVR_EDGES = (0.0, 8.0, 8.5, 9.0, 9.5, 10.0, 100.0)


def clevr_distance(example: Mapping[str, Any]) -> int:
  """The bin of the closest object's distance."""
  places = example["objects"]["pixel_coords"]
  return _bin(min(place[2] for place in places), _CLEVR_EDGES)


# In metres; an image without vehicles counts as one at 1000 m.
_KITTI_EDGES = (-100.0, 8.0, 20.0, 999.0)
_NO_VEHICLE_M = 1000.0
# Car, van and truck are KITTI's first types.
_VEHICLES = 3


def kitti_distance(example: Mapping[str, Any]) -> int:
  """The bin of the closest vehicle's distance; the last means no vehicle."""
  objects = example["objects"]
  pairs = zip(objects["type"], objects["location"], strict=True)
  distances = [place[2] for kind, place in pairs if kind < _VEHICLES]
  return _bin(min([*distances, _NO_VEHICLE_M]), _KITTI_EDGES)


@dataclasses.dataclass(frozen=True)
class Task:
  """A task of VTAB-1k.

  Attributes:
    group: natural, specialized or structured.
    data: "NAME[/CONFIG]" of the TFDS data set.
    num_classes: number of classes of the label.
    validation: the split that has the 200 validation examples, and the
      percentage of it at which they begin.
    test: the split that has the test examples, and the percentage of it at
      which they begin; they go on to its end.
    label: computes the label of an example as TFDS gives it.
    class_names: class names of a computed label; empty if TFDS names the
      classes or they have no names.
    binary: whether pixels are 0 and 1 instead of 0 and 255.
  """

  group: str
  data: str
  num_classes: int
  validation: tuple[str, int] = ("validation", 0)
  test: tuple[str, int] = ("test", 0)
  label: Callable[[Mapping[str, Any]], int] = functools.partial(
    _feature, name="label"
  )
  class_names: tuple[str, ...] = ()
  binary: bool = False


_natural = functools.partial(Task, "natural")
_specialized = functools.partial(Task, "specialized")
_structured = functools.partial(Task, "structured")
_dsprites = functools.partial(
  _structured,
  "dsprites",
  16,
  validation=("train", 80),
  test=("train", 90),
  binary=True,
)
_clevr = functools.partial(
  _structured, "clevr", validation=("train", 90), test=("validation", 0)
)
_smallnorb = functools.partial(
  _structured, "smallnorb", validation=("test", 0), test=("test", 50)
)

TASKS: dict[str, Task] = {
  "caltech101": _natural("caltech101", 102, validation=("train", 90)),
  "cifar100": _natural("cifar100", 100, validation=("train", 90)),
  "dtd": _natural("dtd", 47),
  "flowers102": _natural("oxford_flowers102", 102),
  "pets": _natural("oxford_iiit_pet", 37, validation=("train", 80)),
  "sun397": _natural("sun397/tfds", 397),
  "svhn": _natural("svhn_cropped", 10, validation=("train", 90)),
  "patch_camelyon": _specialized("patch_camelyon", 2),
  "eurosat": _specialized(
    "eurosat/rgb", 10, validation=("train", 60), test=("train", 80)
  ),
  "resisc45": _specialized(
    "resisc45", 45, validation=("train", 60), test=("train", 80)
  ),
  "diabetic_retinopathy": _specialized(
    "diabetic_retinopathy_detection/btgraham-300", 5
  ),
  "clevr_count": _clevr(
    num_classes=8,
    label=clevr_count,
    class_names=tuple(f"{k} objects" for k in range(3, 11)),
  ),
  "clevr_distance": _clevr(
    num_classes=6,
    label=clevr_distance,
    class_names=("to 8", "to 8.5", "to 9", "to 9.5", "to 10", "to 100"),
  ),
  "dmlab": _structured("dmlab", 6),
  "dsprites_location": _dsprites(
    label=functools.partial(_grouped, name="label_x_position", values=32)
  ),
  "dsprites_orientation": _dsprites(
    label=functools.partial(_grouped, name="label_orientation", values=40)
  ),
  "kitti_distance": _structured(
    "kitti",
    4,
    label=kitti_distance,
    class_names=("to 8 m", "to 20 m", "farther", "no vehicle"),
  ),
  "smallnorb_azimuth": _smallnorb(
    num_classes=18,
    label=functools.partial(_feature, name="label_azimuth"),
    class_names=tuple(f"{degrees} degrees" for degrees in range(0, 360, 20)),
  ),
  "smallnorb_elevation": _smallnorb(
    num_classes=9,
    label=functools.partial(_feature, name="label_elevation"),
    class_names=tuple(f"{degrees} degrees" for degrees in range(30, 75, 5)),
  ),
}


def task(name: str) -> Task:
  """The task of that name; a ConfigError if there is none."""
  if name not in TASKS:
    raise errors.ConfigError(
      f"{{name}}: no task {name or '(none)'}"
      f"{errors.did_you_mean(name, TASKS)} (tasks: {', '.join(TASKS)})",
      {"name": f"vtab:{name}"},
    )
  return TASKS[name]


def splits(task: Task, sizes: Mapping[str, int]) -> dict[str, str]:
  """TFDS's name of each split of a task, such as "train[:800]".

  `sizes` has the examples of each split of its data set.

  Raises:
    ConfigError: the data set is too small to be the published one.
  """
  source, percent = task.validation
  first = sizes.get(source, 0) * percent // 100
  # No example may be both trained and validated on.
  least = 800 if source == "train" else 0
  if (
    first < least
    or first + 200 > sizes.get(source, 0)
    or sizes.get("train", 0) < 800
    or task.test[0] not in sizes
  ):
    raise errors.ConfigError(
      f"tfds:{task.data} is not the published data set: VTAB takes 800 training"
      f" examples, 200 of {source}[{percent}%:] and {task.test[0]}, but it has"
      f" {', '.join(f'{k} {n}' for k, n in sizes.items()) or 'no examples'}"
    )
  train = "train[:800]"
  validation = f"{source}[{first}:{first + 200}]"
  test, percent = task.test
  return {
    "train800": train,
    "val200": validation,
    "train800val200": f"{train}+{validation}",
    "test": f"{test}[{sizes[test] * percent // 100}:]" if percent else test,
  }


class Vtab(base.Wrapped):
  """A split of a task: only "image", "label" and "id".

  `examples` are the same as TFDS gives them.
  """

  def __init__(self, name: str, split: str, examples: base.Source):
    super().__init__(examples)
    self._arguments = (name, split, examples)
    self._task = task(name)
    self.num_classes = self._task.num_classes
    self.class_names = self._task.class_names or examples.class_names
    self.fingerprint: dict[str, Any] = {
      **examples.fingerprint,
      "name": f"vtab:{name}",
      "split": split,
      "of": examples.fingerprint["name"],
    }

  def __reduce__(self):
    # The functions that compute labels are found by the task's name.
    return Vtab, self._arguments

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._source[index]
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


def open_source(rest: str, split: str, data_dir: str) -> Vtab:
  """A split of the task `rest`, whose data set must be prepared."""
  # Not at the top: TFDS takes long to import, and TASKS needs none of it.
  from vit_jax.data.sources import tfds as tfds_source

  chosen = task(rest)
  directory, info = tfds_source.built(chosen.data, data_dir)
  names = splits(chosen, {k: v.num_examples for k, v in info.splits.items()})
  if split not in names:
    raise errors.ConfigError(
      f"{{split}} is not a split of vtab:{rest}"
      f"{errors.did_you_mean(split, names)} (splits: {', '.join(names)})",
      {"split": split},
    )
  return Vtab(rest, split, tfds_source.Tfds(directory, names[split]))


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits that each task has."""
  return (*SIZES, "test")
