"""The 1,797 scanned digits that scikit-learn carries (UCI, 8x8 pixels)."""

import hashlib
import io
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

_DESCRIPTION = """\
Handwritten digits of 13 writers, 8x8 pixels, grey: the test part of UCI's
"Optical Recognition of Handwritten Digits" as scikit-learn ships it. The grey
values 0..16 are stored as round(v * 255 / 16), half to even, in 0..255.

The split is ours: an image whose SHA-256 (of its 64 grey values 0..16, row by
row, one byte each; the first 8 bytes as a big-endian number) is divisible by 5
is a test image. Equal images therefore share a split whatever their order. A
writer is in both splits: accuracies are not those of UCI's writer-disjoint
split.
"""


class Builder(tfds.core.GeneratorBasedBuilder):
  """1,446 training and 351 test images."""

  name = "digits"
  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "First release."}

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description=_DESCRIPTION,
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
          "label": tfds.features.ClassLabel(num_classes=10),
        }
      ),
      supervised_keys=("image", "label"),
      homepage="https://archive.ics.uci.edu/dataset/80",
    )

  def _split_generators(self, dl_manager):
    del dl_manager
    return {
      "train": self._generate_examples("train"),
      "test": self._generate_examples("test"),
    }

  def _generate_examples(self, split: str):
    # Not at the top: scikit-learn takes a second to import.
    from sklearn import datasets

    digits: Any = datasets.load_digits()
    images = digits.images.astype(np.uint8)
    for i, (image, label) in enumerate(zip(images, digits.target, strict=True)):
      if split_of(image) == split:
        grey = np.round(image * (255 / 16)).astype(np.uint8)
        # Encoded here: TFDS would start TensorFlow to do it.
        png = cv2.imencode(".png", grey)[1].tobytes()
        yield i, {"image": io.BytesIO(png), "label": int(label)}


def split_of(image: np.ndarray) -> str:
  """The split of an image, uint8 [8, 8] in 0..16."""
  digest = hashlib.sha256(image.tobytes()).digest()
  return "test" if int.from_bytes(digest[:8], "big") % 5 == 0 else "train"
