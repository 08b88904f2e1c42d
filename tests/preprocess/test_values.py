"""Pixel values from uint8 to float32, by hand."""

import jax
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.preprocess.pipeline import Pipeline


def run(text, batch):
  return jax.jit(Pipeline.parse(text).device)(batch)


def pixels(*values, channels=3):
  """One image of one row, with the same value in every channel."""
  row = np.array(values, np.uint8)[None, None, :, None]
  return np.repeat(row, channels, axis=3)


@pytest.mark.parametrize("key", ["image", "local_images"])
def test_range(key):
  batch = {"image": pixels(0, 51, 255), key: pixels(0, 51, 255), "label": 3}
  out = run("value_range(-1, 3)", batch)
  np.testing.assert_allclose(out[key][0, 0, :, 1], [-1, -0.2, 3], atol=1e-6)
  assert out[key].dtype == np.float32 and out["label"] == 3


def test_normalise_by_channel():
  text = "normalise((0.5, 0.25, 0.0), (0.5, 0.25, 0.2))"
  out = run(text, {"image": pixels(0, 255)})["image"]
  np.testing.assert_allclose(
    out[0, 0], [[-1, -1, 0], [1, 3, 5]], rtol=0, atol=1e-6
  )


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("value_range(1, 1)", "value_range.vmin=1.0 must be < value_range.vmax=1"),
    ("normalise((0, 0), (1,))", "must have one number for each channel"),
    ("normalise((0, 0), (1, 0))", r"normalise.std=\(1.0, 0.0\) must be > 0"),
    ("normalise((0,), (1,))", "normalise has 1 channels, the image 3"),
    ("value_range(0, 1)|normalise((0,), (1,))", "image is float32 already"),
  ],
)
def test_what_does_not_fit(text, message):
  with pytest.raises(errors.ConfigError, match=message):
    run(text, {"image": pixels(0)})
