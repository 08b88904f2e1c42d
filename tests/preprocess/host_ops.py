"""Host ops on single images."""

import numpy as np

from vit_jax.preprocess.pipeline import Pipeline


def noise(h, w, c=3):
  return np.random.default_rng(0).integers(0, 256, (h, w, c), np.uint8)


def run(text, image, seed=0):
  example = {"image": image, "label": 0, "id": 7}
  rng = np.random.default_rng(seed)
  return Pipeline.parse(text).host(example, rng)["image"]
