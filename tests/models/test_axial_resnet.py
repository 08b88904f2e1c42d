"""AxialResNet: what it consists of, what it refuses."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models
from vit_jax import models
from vit_jax.core import errors, tree
from vit_jax.models import axial_resnet

SMALL = axial_resnet.Config(
  num_classes=6,
  image_size=(32, 40),
  depths=(1, 1),
  width_factor=0.5,
  num_heads=2,
)


def sizes(name, variant):
  model = models.create(name, variant)
  x = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  params = tree.flatten(small_models.shapes(model, x)["params"])
  return {k: math.prod(v.shape) for k, v in params.items()}


def test_it_is_the_resnet_but_for_its_3_x_3_convolutions():
  ours, theirs = sizes("axial_resnet", "R50"), sizes("bit", "R50x1")
  gone = {k for k in theirs if k.endswith("conv2/kernel")}
  new = {k for k in ours if "/attention/" in k}
  assert len(gone) == 16
  assert {k: ours[k] for k in ours.keys() - new} == {
    k: theirs[k] for k in theirs.keys() - gone
  }
  # Queries, keys and values, their norm, and 2 n - 1 offsets along each axis;
  # a unit with a stride attends before it halves the grid.
  expected = 0
  for stage, (units, n) in enumerate([(3, 56), (4, 28), (6, 14), (3, 7)]):
    width = 64 * 2**stage
    for unit in range(units):
      side = 2 * n if stage and not unit else n
      layer = width * 2 * width + 4 * width + (2 * side - 1) * 2 * width // 8
      expected += 2 * layer
  assert sum(ours[k] for k in new) == expected


def test_outputs():
  x = small_models.images((32, 40))
  model = axial_resnet.Model(SMALL)
  out = small_models.apply(model, small_models.noisy_variables(model, x), x)
  assert {k: v.shape for k, v in out.items()} == {
    "grid": (2, 4, 5, 256),
    "tokens": (2, 20, 256),
    "pre_logits": (2, 256),
    "logits": (2, 6),
  }
  mean = np.mean(np.asarray(out["grid"]), axis=(1, 2), dtype=np.float64)
  np.testing.assert_allclose(out["pre_logits"], mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
  ("fields", "says"),
  [
    (dict(depths=(3, 0)), "depths=.* must be stages of at least 1 unit"),
    (dict(image_size=(0, 224)), "at least 1 px each way"),
    (dict(num_classes=-1), "num_classes=-1 must be at least 0"),
    (dict(width_factor=0.3), "not a multiple of the 32 groups"),
    (dict(num_heads=12), "width_factor=1.0 makes 64 .* twice num_heads=12"),
    (dict(num_heads=0), "num_heads=0"),
    (dict(num_classes=0, head_bias_init=-1.0), "needs a head"),
  ],
)
def test_config_errors(fields, says):
  with pytest.raises(errors.ConfigError, match=says):
    axial_resnet.Config(**fields)


def test_images_of_another_size_are_refused():
  """Unlike a ResNet it has parameters for each offset."""
  with pytest.raises(errors.ConfigError, match=r"do not fit .*image_size"):
    axial_resnet.Model(SMALL).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def test_equal_units_are_a_loop():
  config = dataclasses.replace(SMALL, depths=(3, 1))
  model = axial_resnet.Model(config)
  x = small_models.images(config.image_size)
  variables = small_models.noisy_variables(model, x)
  looped = small_models.losses_and_gradients(model, variables, x)
  whole = small_models.losses_and_gradients(model.clone(unroll=0), variables, x)
  small_models.assert_close(looped, whole)
  program = jax.make_jaxpr(model.apply)(variables, x)
  assert "scan[" in str(program)
