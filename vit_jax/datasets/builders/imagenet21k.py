"""ImageNet-21k (the whole of ImageNet) from its official tar files.

A config is a release and a list of classes. The release is fall11 (21,841
synsets, 14.2 million images) or winter21 (19,167 synsets, which image-net.org
offers today); the list has the 21,843 labels of the published checkpoints or
the 21,841 of the release of fall 2011. A label means the same in both
releases; labels of classes that a release lacks do not occur.

The only split, `full`, is ordered by a hash. The published runs hold out
HELD_OUT of it (google-research/big_vision, configs/vit_i21k.py and
bit_i21k.py). Differs from the published: their order was never published, so
other images are held out.
"""

from collections import Counter
from collections.abc import Iterator
import dataclasses
import functools
import io
import os
import pathlib
import re
from typing import Any
import zlib

import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.datasets import archives, planned, write

NEEDS = (
  "n01440764.tar, n01443537.tar, ..., folders n01440764, ..., or"
  " fall11_whole.tar; from image-net.org, 1.1 to 1.3 TB (unpack"
  " winter21_whole.tar.gz first: what is compressed cannot be read in place)"
)
HELD_OUT = {
  "train": "full[51200:]",
  "validation": "full[25600:51200]",
  "test": "full[:25600]",
}
_NOT_IN_FALL11 = ("n03931044", "n09859684")
# Some images of fall 2011 are compressed in addition: facebookresearch/dinov2,
# data/datasets/image_net_22k.py.
_GZIP = b"\x1f\x8b"
_MOST_BYTES = 2**26
_DESCRIPTION = """\
ImageNet-21k: images of WordNet's nouns. Each image has one label, in a list
because the published models treat labels as independent (sigmoid outputs).
"""


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is published about a release.

  Attributes:
    classes: synsets with images.
    images: 0 if no number is published.
  """

  classes: int
  images: int


# Fall 2011: image-net.org's statistics (14,197,122 images, 21,841 synsets).
# Winter 2021: Alibaba-MIIL/ImageNet21K, issue 16 (19167 classes); no number of
# images.
FACTS = {
  "fall11": Facts(classes=21_841, images=14_197_122),
  "winter21": Facts(classes=19_167, images=0),
}


@dataclasses.dataclass(kw_only=True)
class Config(tfds.core.BuilderConfig):
  """A release and its list of classes."""

  release: str
  classes: int


class Builder(tfds.core.GeneratorBasedBuilder):
  """14,197,122 images of 21,841 classes, and the release of 2021."""

  name = "imagenet21k"
  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "First release."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = NEEDS
  BUILDER_CONFIGS = [
    Config(
      name=f"{release}_{classes}",
      release=release,
      classes=classes,
      description=f"Release {release} with {classes:,} labels.",
    )
    for release in FACTS
    for classes in (21_843, 21_841)
  ]

  def _info(self) -> tfds.core.DatasetInfo:
    config: Any = self.builder_config
    names = class_names(config.classes)
    return tfds.core.DatasetInfo(
      builder=self,
      description=_DESCRIPTION,
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(encoding_format="jpeg"),
          "labels": tfds.features.Sequence(
            tfds.features.ClassLabel(names=names)
          ),
          "file_name": tfds.features.Text(),
        }
      ),
      homepage="https://image-net.org/",
    )

  def _split_generators(self, dl_manager):
    made = recipe(self, str(dl_manager.manual_dir), "raise")
    return {"full": self._generate_examples(made)}

  def _generate_examples(self, made: write.Recipe):
    for _, item in made.listing():
      yield item["key"], made.read(item)


def class_names(classes: int) -> list[str]:
  """WordNet ids by label, of 21,843 or 21,841 classes."""
  lines = pathlib.Path(__file__).with_suffix(".txt").read_text().splitlines()
  names = [line for line in lines if not line.startswith("#")]
  missing = _NOT_IN_FALL11 if classes == 21_841 else ()
  return [name for name in names if name not in missing]


def recipe(
  builder: Builder, from_dir: str, on_error: str, facts: Facts | None = None
) -> write.Recipe:
  """What to write; a ConfigError if `from_dir` has not what NEEDS says."""
  folder = pathlib.Path(from_dir).expanduser()
  config: Any = builder.builder_config
  facts = facts or FACTS[config.release]
  return write.Recipe(
    info=builder.info,
    source=os.path.abspath(folder),
    listing=functools.partial(_items, builder.info, folder, facts),
    read=example,
    metadata={"num_labels": 1},
    on_error=on_error,
  )


def example(item: planned.Item) -> dict[str, Any]:
  """Reads an item."""
  data = archives.read(item["path"], item["offset"], item["size"], item["key"])
  if data.startswith(_GZIP):
    data = _unzipped(data, item["key"])
  archives.check_image(data, item["key"])
  return {
    "image": io.BytesIO(data),
    "labels": [item["label"]],
    "file_name": item["key"],
  }


def _unzipped(data: bytes, where: str) -> bytes:
  gzip = zlib.decompressobj(wbits=31)
  try:
    whole = gzip.decompress(data, _MOST_BYTES)
  except zlib.error as e:
    raise errors.DataError(f"{where} cannot be decompressed: {e}") from e
  if not gzip.eof:
    raise errors.DataError(
      f"{where} is cut off, or decompresses to more than {_MOST_BYTES} bytes"
    )
  return whole


def _items(
  info: Any, folder: pathlib.Path, facts: Facts
) -> Iterator[tuple[str, planned.Item]]:
  """All images; then compares their counts with the published ones."""
  names = info.features["labels"].feature.names
  labels = {name: i for i, name in enumerate(names)}
  counts = Counter[str]()
  for wnid, images in _classes(folder):
    if wnid not in labels:
      raise errors.DataError(f"{folder}: {wnid} is none of the classes")
    for image in images:
      counts[wnid] += 1
      yield "full", planned.item(image, label=labels[wnid])
  wrong = facts.images and counts.total() != facts.images
  if len(counts) != facts.classes or wrong:
    published = f"{facts.images:,} of " if facts.images else ""
    raise errors.DataError(
      f"{folder} has {counts.total():,} images of {len(counts):,} classes, not"
      f" the published {published}{facts.classes:,}"
    )


def _classes(
  folder: pathlib.Path,
) -> Iterator[tuple[str, Iterator[archives.Slice]]]:
  if folder.is_dir():
    whole = [p for p in folder.iterdir() if p.name.endswith("_whole.tar")]
    if len(whole) == 1:
      return archives.nested(whole[0])
    if any(re.match(r"n\d{8}", p.name) for p in folder.iterdir()):
      return archives.classes(folder)
  raise errors.ConfigError(
    f"{{from_dir}} has no images of ImageNet-21k; needed: {NEEDS}",
    {"from_dir": folder},
  )
