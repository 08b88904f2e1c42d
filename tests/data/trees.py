"""Small folders of images."""

import cv2
import numpy as np

from vit_jax.data import base

# Images of each class.
COUNTS = {"ant": 30, "bee": 20, "cat": 50}


def png(*numbers):
  """An image that depends on the numbers."""
  image = np.random.default_rng(numbers).integers(0, 256, (8, 8, 3), np.uint8)
  return cv2.imencode(".png", image)[1].tobytes()


def write(root, files):
  """Writes files, given by their path below the root."""
  for path, data in files.items():
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
  return root


def classes(root, counts=COUNTS):
  """CLASS/NUMBER.png for each class."""
  return write(
    root,
    {
      f"{name}/{i}.png": png(c, i)
      for c, (name, count) in enumerate(counts.items())
      for i in range(count)
    },
  )


def open_folder(root, split="train"):
  return base.open_source(f"folder:{root}", split)


def files(source):
  """The file of each example."""
  return [source.where(i) for i in range(len(source))]


def labels(source):
  return [source.label(i) for i in range(len(source))]


def by_file(source):
  """The label, or the labels, of each file by its name."""
  return {
    source.where(i).rpartition("/")[2]: np.asarray(source[i]["label"]).tolist()
    for i in range(len(source))
  }
