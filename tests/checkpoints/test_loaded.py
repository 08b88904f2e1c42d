"""What loading gives: names and shapes of a model's arrays."""

import numpy as np
import pytest

from vit_jax import models
from vit_jax.checkpoints import loaded
from vit_jax.core import errors


@pytest.fixture(scope="module")
def model():
  return models.create("mobilevit", variant="XXS", num_classes=3)


def test_shapes_are_those_of_the_variables(model):
  shapes = loaded.model_shapes(model, 1)
  assert shapes["stem/conv/kernel"] == (3, 3, 1, 16)
  assert shapes["batch_stats/stem/norm/mean"] == (16,)
  arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
  assert loaded.image_channels(arrays, model.config) == 1
  params, stats = loaded.nested(arrays)
  again = loaded.flat({"params": params, "batch_stats": stats})
  assert again.keys() == arrays.keys()


def test_a_model_is_named_as_in_a_config(model):
  config = loaded.given_config("x.npz", "mobilevit", "mobilevit", model)
  assert config is model.config
  assert loaded.given_config("x.npz", "vit", "vit", None) is None
  with pytest.raises(errors.CheckpointError, match=r"x\.npz holds a vit"):
    loaded.given_config("x.npz", "vit", "vit", model)
