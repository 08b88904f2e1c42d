"""A small model, and what is found out about it."""

import numpy as np

from tests.models import small_models
from vit_jax.analysis import inside
from vit_jax.checkpoints import Loaded, Report


def loaded(model):
  x = small_models.images(model.config.image_size)
  params = small_models.noisy_variables(model, x)["params"]
  return Loaded(model, params, {}, "npz", Report(()), "value_range(-1, 1)")


def images(size, count=5):
  rng = np.random.default_rng(0)
  shape = (count, *size, 3)
  named = zip("abcde", rng.integers(0, 256, shape, np.uint8), strict=True)
  return list(named)


def look(monkeypatch, model, overlays=3):
  """With batches of two: the last of five images has an empty one beside."""
  config = model.config
  tokens = config.grid[0] * config.grid[1] + config.class_token
  of_one = 4 * config.depth * config.num_heads * tokens**2
  monkeypatch.setattr(inside, "_BATCH_BYTES", 2 * of_one)
  checkpoint = loaded(model)
  pairs = images(config.image_size)
  return checkpoint, inside.analyze(checkpoint, pairs, overlays=overlays)
