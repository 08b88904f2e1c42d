"""The digits that scikit-learn carries."""

import hashlib

import numpy as np
import pytest
from sklearn import datasets

from vit_jax.data import base, pipeline
from vit_jax.datasets.builders import digits
from vit_jax.preprocess.pipeline import Pipeline

# Examples of the classes 0..9, and a digest of all pixels and labels.
GOLDEN = {
  "train": (
    [140, 142, 139, 143, 148, 143, 156, 152, 140, 143],
    "578081731dfdf036",
  ),
  "test": ([38, 40, 38, 40, 33, 39, 25, 27, 34, 37], "1f7ad11bfab2575f"),
}


def read(split, data_dir):
  source = base.open_source("tfds:digits", split, data_dir)
  batches = pipeline.eval_batches(
    source, Pipeline.parse("decode(1)"), batch_size=len(source)
  )
  return batches[0]


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits_have_not_changed(split, digits_dir):
  batch = read(split, digits_dir)
  counts = np.bincount(batch["label"]).tolist()
  rows = sorted(
    image.tobytes() + bytes([label])
    for image, label in zip(batch["image"], batch["label"], strict=True)
  )
  digest = hashlib.sha256(b"".join(rows)).hexdigest()[:16]
  assert (counts, digest) == GOLDEN[split]


def test_digits_are_all_there_and_scaled(digits_dir):
  ours = np.concatenate(
    [read(s, digits_dir)["image"][..., 0] for s in ("train", "test")]
  )
  theirs = datasets.load_digits().images
  assert ours.min() == 0 and ours.max() == 255
  back = np.round(ours / 255 * 16).astype(np.uint8)
  assert sorted(map(bytes, back)) == sorted(map(bytes, theirs.astype(np.uint8)))


def test_no_image_is_in_both_splits(digits_dir):
  train, test = (
    {image.tobytes() for image in read(split, digits_dir)["image"]}
    for split in ("train", "test")
  )
  assert not train & test


def test_the_split_depends_on_the_pixels_alone():
  image = datasets.load_digits().images[0].astype(np.uint8)
  assert digits.split_of(image) == digits.split_of(image.copy()) == "train"
  changed = {digits.split_of(np.minimum(image + k, 16)) for k in range(16)}
  assert changed == {"train", "test"}
