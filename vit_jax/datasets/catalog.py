"""Facts of the data sets that the recipes use, each with its source.

Sizes are quoted as published. A number that no source gives is left out.
"""

from collections.abc import Mapping
import dataclasses

from vit_jax.data.sources import vtab

_TFDS = "https://www.tensorflow.org/datasets/catalog/"
_IMAGENET = "https://image-net.org/download-images (after registration)"


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is known of a data set before it is there.

  Attributes:
    name: what a config calls it; of ReaL and 21k without the file or release.
    group: what it is used for.
    classes: of its labels.
    splits: images by split.
    version: of the TFDS data set, "" where it is none. Counts hold for all
      versions with the same major number.
    download: what is downloaded, as published; "" is unknown or nothing.
    disk: what it takes when prepared, as published; "" is unknown.
    by_hand: what must be downloaded by hand, and where from; "" is nothing.
    prepare: what `data prepare` is given; "" where there is nothing to do.
    source: where these facts are from.
  """

  name: str
  group: str
  classes: int
  splits: Mapping[str, int]
  version: str = ""
  download: str = ""
  disk: str = ""
  by_hand: str = ""
  prepare: str = ""
  source: str = ""


def _tfds(
  name: str,
  group: str,
  classes: int,
  splits: Mapping[str, int],
  version: str,
  download: str,
  disk: str = "",
  *,
  by_hand: str = "",
  source: str = "",
) -> Facts:
  """A data set that TFDS builds; sizes of downloads are of its checksums."""
  page = _TFDS + name.partition("/")[0]
  return Facts(
    f"tfds:{name}",
    group,
    classes,
    splits,
    version,
    download,
    disk,
    by_hand,
    f"tfds:{name}",
    f"{page}; {source}" if source else page,
  )


_V2 = "matched-frequency", "threshold-0.7", "topimages"
_V2_DISK = "1.16 GiB", "1.15 GiB", "1.14 GiB"

_DATA = (
  _tfds(
    "imagenet2012",
    "ImageNet",
    1000,
    {"train": 1_281_167, "validation": 50_000, "test": 100_000},
    "5.1.0",
    "144.02 GiB",
    "155.84 GiB",
    by_hand=f"ILSVRC2012_img_train.tar (137.74 GiB) and ILSVRC2012_img_val.tar"
    f" (6.28 GiB) from {_IMAGENET}",
  ),
  *(
    Facts(
      f"tfds:imagenet21k/{release}_{classes}",
      "ImageNet",
      classes,
      splits,
      "1.0.0",
      by_hand=f"{release}_whole.tar or its parts n01440764.tar, ... from"
      f" {_IMAGENET}",
      prepare=f"tfds:imagenet21k/{release}_{classes}",
      source=source,
    )
    for release, splits, source in (
      ("fall11", {"full": 14_197_122}, "https://image-net.org"),
      ("winter21", {}, ""),
    )
    for classes in (21_843, 21_841)
  ),
  Facts(
    "real",
    "ImageNet",
    1000,
    {"validation": 50_000},
    "5.1.0",
    "379.37 KiB",
    by_hand="real.json from https://github.com/google-research/"
    "reassessed-imagenet (388,478 bytes); name it as real:FILE",
    prepare="tfds:imagenet2012",
    source="arXiv:2006.07159; TFDS's checksums of imagenet2012_real",
  ),
  *(
    _tfds(
      f"imagenet_v2/{variant}",
      "ImageNet",
      1000,
      {"test": 10_000},
      "3.0.0",
      download,
      disk,
      source="arXiv:1902.10811",
    )
    for variant, download, disk in zip(
      _V2, ("1.18 GiB", "1.16 GiB", "1.16 GiB"), _V2_DISK, strict=True
    )
  ),
  _tfds(
    "cifar10",
    "transfer",
    10,
    {"train": 50_000, "test": 10_000},
    "3.0.2",
    "162.17 MiB",
    "132.40 MiB",
  ),
  _tfds(
    "cifar100",
    "transfer",
    100,
    {"train": 50_000, "test": 10_000},
    "3.0.2",
    "160.71 MiB",
    "132.03 MiB",
  ),
  _tfds(
    "oxford_iiit_pet",
    "transfer",
    37,
    {"train": 3_680, "test": 3_669},
    "4.0.0",
    "773.52 MiB",
    "774.69 MiB",
    source="counts and sizes of version 3.2.0, whose file lists 4.0.0 keeps",
  ),
  _tfds(
    "oxford_flowers102",
    "transfer",
    102,
    {"train": 1_020, "validation": 1_020, "test": 6_149},
    "2.1.1",
    "328.90 MiB",
    "331.34 MiB",
  ),
  _tfds(
    "caltech101",
    "VTAB",
    102,
    {"train": 3_060, "test": 6_084},
    "3.0.2",
    "131.05 MiB",
  ),
  _tfds(
    "dtd",
    "VTAB",
    47,
    {"train": 1_880, "validation": 1_880, "test": 1_880},
    "3.0.1",
    "596.28 MiB",
  ),
  _tfds(
    "sun397/tfds",
    "VTAB",
    397,
    {"train": 76_128, "validation": 10_875, "test": 21_750},
    "4.0.0",
    "36.41 GiB",
  ),
  _tfds(
    "svhn_cropped",
    "VTAB",
    10,
    {"train": 73_257, "test": 26_032, "extra": 531_131},
    "3.1.0",
    "1.47 GiB",
  ),
  _tfds(
    "patch_camelyon",
    "VTAB",
    2,
    {"train": 262_144, "validation": 32_768, "test": 32_768},
    "2.0.0",
    "7.48 GiB",
  ),
  _tfds("eurosat/rgb", "VTAB", 10, {"train": 27_000}, "2.0.0", "89.91 MiB"),
  _tfds(
    "resisc45",
    "VTAB",
    45,
    {"train": 31_500},
    "3.0.0",
    "",
    "407.97 MiB",
    by_hand="NWPU-RESISC45.rar from"
    " https://1drv.ms/u/s!AmgKYzARBl5ca3HNaHIlzp_IXjs, extracted",
  ),
  _tfds(
    "diabetic_retinopathy_detection/btgraham-300",
    "VTAB",
    5,
    {"train": 35_126, "validation": 10_906, "test": 42_670, "sample": 10},
    "3.0.0",
    "1.13 MiB",
    "3.65 GiB",
    by_hand="test.zip as test/, train.zip as train/, sample.zip as sample/ and"
    " trainLabels.csv, all extracted, from"
    " https://www.kaggle.com/c/diabetic-retinopathy-detection/data",
  ),
  _tfds(
    "clevr",
    "VTAB",
    0,
    {"train": 70_000, "validation": 15_000, "test": 15_000},
    "3.1.0",
    "17.72 GiB",
    "17.75 GiB",
  ),
  _tfds(
    "dmlab",
    "VTAB",
    6,
    {"train": 65_550, "validation": 22_628, "test": 22_735},
    "2.0.1",
    "2.81 GiB",
    "3.13 GiB",
  ),
  _tfds("dsprites", "VTAB", 0, {"train": 737_280}, "2.0.0", "26.73 MiB"),
  _tfds(
    "kitti",
    "VTAB",
    0,
    {"train": 6_347, "validation": 423, "test": 711},
    "3.3.0",
    "11.71 GiB",
    "5.27 GiB",
  ),
  _tfds(
    "smallnorb",
    "VTAB",
    0,
    {"train": 24_300, "test": 24_300},
    "2.0.0",
    "250.60 MiB",
  ),
  Facts(
    "tfds:digits",
    "test",
    10,
    {"train": 1_446, "test": 351},
    "1.0.0",
    prepare="tfds:digits",
    source="scikit-learn's load_digits; the split is ours",
  ),
  _tfds(
    "fashion_mnist",
    "test",
    10,
    {"train": 60_000, "test": 10_000},
    "3.0.1",
    "29.45 MiB",
    source="arXiv:1708.07747",
  ),
)


def _task(name: str, data: Mapping[str, Facts]) -> Facts:
  """The facts of a task of VTAB-1k, from those of its data set."""
  task = vtab.TASKS[name]
  of = data[f"tfds:{task.data}"]
  split, percent = task.test
  size = of.splits[split]
  return dataclasses.replace(
    of,
    name=f"vtab:{name}",
    group=f"VTAB {task.group}",
    classes=task.num_classes,
    splits={**vtab.SIZES, "test": size - size * percent // 100},
    source=f"arXiv:1910.04867; {of.source}",
  )


def _all() -> dict[str, Facts]:
  data = {of.name: of for of in _DATA}
  tasks = [_task(name, data) for name in vtab.TASKS]
  return {**data, **{of.name: of for of in tasks}}


CATALOG: dict[str, Facts] = _all()


def facts(name: str) -> Facts | None:
  """What is known of a data set, by its name in a config; None if nothing.

  The version of tfds:NAME:VERSION and the file of real:FILE play no part.
  """
  scheme, _, rest = name.partition(":")
  if scheme == "real":
    return CATALOG["real"]
  return CATALOG.get(f"{scheme}:{rest.partition(':')[0]}")


def text() -> str:
  """The catalog as a table, and below it what must be downloaded by hand."""
  head = "name", "group", "classes", "images", "download", "on disk"
  rows = [(*head, "prepare", "by hand")]
  notes: dict[str, int] = {}
  for of in CATALOG.values():
    # The data of VTAB's tasks are told with the tasks.
    if of.group == "VTAB":
      continue
    mark = ""
    if of.by_hand:
      mark = f"[{notes.setdefault(of.by_hand, len(notes) + 1)}]"
    images = ", ".join(f"{k} {n:,}" for k, n in _shown(of).items())
    classes = f"{of.classes:,}"
    sizes = of.download, of.disk
    rows.append((of.name, of.group, classes, images, *sizes, of.prepare, mark))
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
  lines += [
    "",
    "To build one: python -m vit_jax data prepare PREPARE --data_dir=DIR, with"
    " what the column prepare says.",
    "First download by hand, into DIR/downloads/manual:",
  ]
  lines += [f"  [{number}] {what}" for what, number in notes.items()]
  return "\n".join(lines)


def _shown(of: Facts) -> Mapping[str, int]:
  """The splits that a table has room for."""
  if not of.name.startswith("vtab:"):
    return of.splits
  return {"train": 1000, "test": of.splits["test"]}
