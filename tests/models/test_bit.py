"""BiT: outputs, speed knob, initial values, config, variants, sharding."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models
from tests.models.small_models import apply, images, noisy_variables
from vit_jax import models
from vit_jax.core import config as config_lib, errors, tree
from vit_jax.models import bit

SMALL = bit.Config(
  num_classes=5, image_size=(16, 16), depths=(1, 2), width_factor=0.5
)
X = images((16, 24))


def small(**fields):
  return bit.Model(dataclasses.replace(SMALL, **fields))


def test_output_keys_and_shapes():
  model = small()
  out = apply(model, noisy_variables(model, X), X)
  assert {k: v.shape for k, v in out.items()} == {
    "tokens": (2, 6, 256),
    "grid": (2, 2, 3, 256),
    "pre_logits": (2, 256),
    "logits": (2, 5),
  }
  np.testing.assert_array_equal(out["grid"].reshape(2, 6, 256), out["tokens"])
  grid = np.asarray(out["grid"])
  np.testing.assert_allclose(out["pre_logits"], grid.mean((1, 2)), rtol=1e-5)
  assert grid.min() == 0 < grid.max()


def test_any_image_size_with_the_same_parameters():
  model = small()
  variables = noisy_variables(model, X)
  for size, grid in (((16, 24), (2, 3)), ((33, 7), (5, 1)), ((1, 1), (1, 1))):
    out = jax.eval_shape(model.apply, variables, images(size))
    assert out["grid"].shape == (2, *grid, 256)


def residuals(model, variables, x):
  """Numbers that the backward pass is handed."""
  f = lambda p: model.apply({"params": p}, x)["logits"].sum()  # noqa: E731
  _, pullback = jax.eval_shape(
    functools.partial(jax.vjp, f), variables["params"]
  )
  return sum(leaf.size for leaf in jax.tree.leaves(pullback))


def test_remat_keeps_less():
  variables = noisy_variables(small(), X)
  kept = [
    residuals(small().clone(remat=remat), variables, X)
    for remat in ("none", "dots", "full")
  ]
  assert kept == sorted(kept, reverse=True) and len(set(kept)) == 3


def test_what_the_pooling_sees_around_the_image():
  x = -jnp.ones((1, 6, 4, 2))
  nothing = small()._pool(x)
  zeros = np.asarray(small(root_padding="zeros")._pool(x))
  np.testing.assert_array_equal(nothing, -np.ones((1, 3, 2, 2)))
  expected = -np.ones((1, 3, 2, 2))
  expected[:, 0] = expected[:, :, 0] = 0
  np.testing.assert_array_equal(zeros, expected)


def test_each_published_convention_has_an_effect():
  model = small()
  variables = noisy_variables(model, X)
  variables = jax.tree.map(lambda p: 0.01 * p, variables)
  plain = apply(model, variables, X)["grid"]
  for fields in (
    dict(standardization="var + 1e-8"),
    dict(standardization="std + 1e-5"),
    dict(root_padding="zeros"),
  ):
    other = apply(small(**fields), variables, X)["grid"]
    assert np.abs(other - plain).max() > 1e-6, fields


def test_initial_parameters():
  model = small(head_bias_init=-3.0, depths=(1, 1), width_factor=1.0)
  init = jax.jit(model.init, compiler_options=small_models.COMPILE_FAST)
  params = init(jax.random.key(0), X)["params"]
  for name, value in tree.flatten(params).items():
    if name == "head/bias":
      np.testing.assert_array_equal(value, -3.0)
    elif name == "head/kernel" or name.endswith("bias"):
      assert not np.any(value), name
    elif name.endswith("scale"):
      np.testing.assert_array_equal(value, 1.0)
    else:
      fan_in = np.prod(value.shape[:-1])
      assert abs(value.std() * np.sqrt(fan_in) - 1) < 0.05, name


BAD = [
  (dict(num_classes=-1), "num_classes=-1 must be at least 0 (0 is none)"),
  (dict(image_size=(224, 0)), "image_size=(224, 0) must be at least 1 px"),
  (dict(depths=()), "depths=() must be stages of at least 1 unit each"),
  (dict(depths=(3, 0)), "depths=(3, 0) must be stages of at least 1 unit"),
  (dict(width_factor=0.75), "width_factor=0.75: 64 x 0.75 = 48 channels are"
   " not a multiple of the 32 groups of a norm; use a multiple of 0.5"),
  (dict(width_factor=0.0), "= 0 channels are not a multiple"),
  (dict(width_factor=-1.0), "= -64 channels are not a multiple"),
  (dict(width_factor=float("nan")), "nan channels are not a multiple"),
  (dict(head_bias_init=-1.0, num_classes=0), "head_bias_init=-1.0 needs a"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_wrong_configs(fields, message):
  with pytest.raises(errors.ConfigError) as e:
    bit.Config(**fields)
  assert message in str(e.value)
  assert "{" not in str(e.value)


def test_variants():
  assert bit.variant("R50x1") == bit.Config()
  large = bit.variant("R200x3", num_classes=0, image_size=(384, 384))
  assert (large.depths, large.width_factor) == ((3, 24, 36, 3), 3.0)
  assert len(models.list_variants()["bit"]) == 16
  model = models.create("bit", variant="R101x2", num_classes=7)
  assert model.config == bit.variant("R101x2", num_classes=7)
  plain = config_lib.to_config_dict(large)
  assert config_lib.build(bit.Config, plain) == large
  with pytest.raises(errors.ConfigError, match="did you mean R50x3"):
    bit.variant("R50*3")
  with pytest.raises(errors.ConfigError, match="unknown field depth;"):
    bit.variant("R50x1", depth=3)


def test_images_that_do_not_fit():
  with pytest.raises(errors.ConfigError, match=r"\[B, h, w, c\]"):
    small().init(jax.random.key(0), X[0])
  with pytest.raises(TypeError, match="uint8"):
    small().init(jax.random.key(0), jnp.zeros((1, 8, 8, 3), jnp.uint8))


def test_programs_do_not_grow_with_depth():
  """Equal units are a loop, whose body is compiled once."""

  def convolutions(unroll, *depths):
    model = small(depths=depths).clone(unroll=unroll)
    variables = small_models.shapes(model, X)
    program = jax.make_jaxpr(model.apply)(variables, X)
    return str(program).count("conv_general_dilated[")

  assert convolutions(1, 3, 3) == convolutions(1, 9, 30)
  assert convolutions(0, 3, 3) < convolutions(0, 3, 9)
