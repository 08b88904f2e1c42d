"""ImageNet-1k (ILSVRC-2012) from the official files, as TFDS's imagenet2012.

Features, class order, version and names are those of TFDS, whose builder
describes the data set. Differs from TFDS, which builds with one process and
needs both tar files: extracted folders can be read as well. Differs from TFDS,
which writes the one PNG and the 22 CMYK JPEGs of the training set again as RGB
JPEGs with a further loss: here they keep their bytes, and `decode` reads them
as RGB.
"""

from collections import Counter
from collections.abc import Iterator
import dataclasses
import functools
import itertools
import os
import pathlib
from typing import Any

import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.data import progress
from vit_jax.datasets import archives, checksums, listed, planned, write

NEEDS = (
  "ILSVRC2012_img_train.tar or train/CLASS/*.JPEG (or train/CLASS.tar), and"
  " ILSVRC2012_img_val.tar or val/*.JPEG or val/CLASS/*.JPEG; from"
  " image-net.org, 155 GB"
)
# A file of TFDS's package: WordNet ids, in the order of the images' names.
_VALIDATION = "datasets/imagenet2012/validation_labels.txt"


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is published about the data set.

  Attributes:
    images: how many train and validation have.
    classes: how many each of them has.
    images_per_class: the fewest and most images of a class in each.
    tars: bytes and SHA-256 of the tar files.
    validation: the class of each validation image, in the order of their
      names; if empty, TFDS's list is used.
  """

  images: dict[str, int]
  classes: int
  images_per_class: dict[str, tuple[int, int]]
  tars: dict[str, tuple[int, str]]
  validation: tuple[str, ...] = ()


# Images: Table 2 of arXiv:1409.0575, where a class has 732 to 1300 training
# images and 50 for validation. Files: TFDS's checksums of imagenet2012.
FACTS = Facts(
  images={"train": 1_281_167, "validation": 50_000},
  classes=1000,
  images_per_class={"train": (732, 1300), "validation": (50, 50)},
  tars={
    "ILSVRC2012_img_train.tar": (
      147_897_477_120,
      "b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb",
    ),
    "ILSVRC2012_img_val.tar": (
      6_744_924_160,
      "c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0",
    ),
  },
)

Builder = tfds.builder_cls("imagenet2012")


def recipe(
  builder: tfds.core.DatasetBuilder,
  from_dir: str,
  on_error: str,
  facts: Facts = FACTS,
) -> write.Recipe:
  """What to write; a ConfigError if `from_dir` has not what NEEDS says."""
  folder = pathlib.Path(from_dir).expanduser()
  train, val = (_find(folder, part) for part in ("train", "val"))
  return write.Recipe(
    info=builder.info,
    source=f"{os.path.abspath(train)} and {os.path.abspath(val)}",
    listing=functools.partial(_items, builder.info, train, val, facts),
    read=listed.example,
    on_error=on_error,
  )


def _find(folder: pathlib.Path, part: str) -> pathlib.Path:
  for name in (f"ILSVRC2012_img_{part}.tar", part):
    if (folder / name).exists():
      return folder / name
  raise errors.ConfigError(
    f"{{from_dir}} has neither ILSVRC2012_img_{part}.tar nor {part}; needed:"
    f" {NEEDS}",
    {"from_dir": folder},
  )


def _items(
  info: Any, train: pathlib.Path, val: pathlib.Path, facts: Facts
) -> Iterator[tuple[str, planned.Item]]:
  """All images; then compares their counts with the published ones."""
  _check_tars([p for p in (train, val) if p.suffix == ".tar"], facts)
  feature = info.features["label"]
  known = set(feature.names)
  counts = {split: Counter[str]() for split in facts.images}
  for split, wnid, image in itertools.chain(_train(train), _val(val, facts)):
    if wnid not in known:
      raise errors.DataError(f"{image.path}: {wnid} is none of the classes")
    counts[split][wnid] += 1
    yield split, planned.item(image, label=feature.str2int(wnid))
  for split, count in counts.items():
    least, most = facts.images_per_class[split]
    wanted = facts.images[split], facts.classes
    if (count.total(), len(count)) != wanted:
      raise errors.DataError(
        f"{split} has {count.total():,} images of {len(count):,} classes, not"
        f" the published {wanted[0]:,} of {wanted[1]:,}"
      )
    for wnid, n in count.items():
      if not least <= n <= most:
        raise errors.DataError(
          f"{split} has {n} images of {wnid}; published are {least} to {most}"
        )


def _train(train: pathlib.Path) -> Iterator[tuple[str, str, archives.Slice]]:
  is_tar = train.suffix == ".tar"
  classes = archives.nested(train) if is_tar else archives.classes(train)
  for wnid, images in classes:
    for image in images:
      yield "train", wnid, image


def _val(
  val: pathlib.Path, facts: Facts
) -> Iterator[tuple[str, str, archives.Slice]]:
  """Validation images, whose class is known from the order of their names."""
  if val.is_dir() and any(p.is_dir() for p in val.iterdir()):
    images = [(c, i) for c, some in archives.classes(val) for i in some]
  else:
    flat = archives.members(val) if val.is_file() else archives.files(val)
    images = [("", image) for image in flat]
  images.sort(key=lambda pair: pair[1].name)
  wnids = facts.validation
  if not wnids:
    wnids = tuple(tfds.core.tfds_path(_VALIDATION).read_text().split())
  if len(images) != len(wnids):
    raise errors.DataError(
      f"{val} has {len(images):,} images, not {len(wnids):,}"
    )
  for (folder, image), wnid in zip(images, wnids, strict=True):
    if folder not in ("", wnid):
      raise errors.DataError(
        f"{image.path} is of the class {wnid}, not {folder}"
      )
    yield "validation", wnid, image


def _check_tars(tars: list[pathlib.Path], facts: Facts) -> None:
  """Compares the sizes of all tar files, then their SHA-256."""
  for tar in tars:
    size, wanted = tar.stat().st_size, facts.tars[tar.name][0]
    if size != wanted:
      raise errors.DataError(
        f"{tar} has {size:,} bytes, not the published {wanted:,}"
      )
  for tar in tars:
    progress.say(f"checking the SHA-256 of {tar}")
    digest = checksums.of_file(tar)["sha256"]
    if digest != facts.tars[tar.name][1]:
      raise errors.DataError(
        f"{tar} has the SHA-256 {digest}, not the published"
        f" {facts.tars[tar.name][1]}; download it again"
      )
