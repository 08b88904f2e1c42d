"""Hybrids: outputs, speed knobs, grids, config, variants, sharding."""

import dataclasses
import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from tests.models import small_models
from tests.models.small_models import apply, images, noisy_variables
from vit_jax import models
from vit_jax.core import config as config_lib, errors, tree
from vit_jax.models import hybrid, vit
from vit_jax.nn import resnet, std_convolution

SMALL = hybrid.Config(
  num_classes=5,
  image_size=(24, 32),
  resnet_depths=(1, 1),
  resnet_width_factor=0.5,
  width=16,
  depth=3,
  mlp_dim=24,
  num_heads=2,
)
X = images((24, 32))


def small(**fields):
  return hybrid.Model(dataclasses.replace(SMALL, **fields))


def test_output_keys_and_shapes():
  model = small(pre_logits_dim=7)
  out = apply(model, noisy_variables(model, X), X)
  assert {k: v.shape for k, v in out.items()} == {
    "tokens": (2, 13, 16),
    "grid": (2, 3, 4, 16),
    "pre_logits": (2, 7),
    "logits": (2, 5),
  }


def test_a_hybrid_is_a_vit_on_a_feature_map():
  fields = dict(image_size=(32, 32), patch_size=(2, 2))
  model = small(**fields)
  x = images((32, 32))
  variables = noisy_variables(model, x)
  params = dict(variables["params"])
  stem = resnet.Stem(
    (1, 1),
    32,
    std_convolution.StdConv,
    functools.partial(nn.GroupNorm, num_groups=32),
  )
  features = stem.apply({"params": params.pop("resnet")}, x)
  assert features.shape == (2, 4, 4, 256)
  sizes = ("num_classes", "width", "depth", "mlp_dim", "num_heads")
  config = vit.Config(
    image_size=(4, 4),
    patch_size=(2, 2),
    **{name: getattr(SMALL, name) for name in sizes},
  )
  expected = apply(vit.Model(config), {"params": params}, features)
  ours = apply(model, variables, x)
  np.testing.assert_allclose(
    ours["logits"], expected["logits"], rtol=1e-4, atol=1e-4
  )


GRIDS = [
  (dict(), (3, 4)),
  (dict(image_size=(20, 25)), (3, 4)),
  (dict(image_size=(32, 32), patch_size=(2, 1)), (2, 4)),
  (dict(resnet_depths=(), patch_size=(2, 4)), (3, 2)),
  (dict(resnet_depths=(1,)), (6, 8)),
  (dict(resnet_depths=(1, 1, 1, 1), image_size=(64, 33)), (2, 2)),
]


@pytest.mark.parametrize(("fields", "grid"), GRIDS)
def test_the_grid_follows_from_the_image_and_the_stride(fields, grid):
  model = small(**fields)
  assert model.config.grid == grid
  x = images(model.config.image_size)
  variables = small_models.shapes(model, x)
  table = variables["params"]["posemb"]["table"]
  assert table.shape == (1 + grid[0] * grid[1], 16)
  out = jax.eval_shape(model.apply, variables, x)
  assert out["grid"].shape == (2, *grid, 16)


def test_only_the_blocks_are_stacked():
  names = tree.flatten(small_models.shapes(small(), X)["params"])
  stacked = {k for k in names if k.startswith(hybrid.STACKED)}
  assert stacked and all(names[k].shape[0] == 3 for k in stacked)
  assert not any("resnet" in k for k in stacked)


def test_each_published_convention_has_an_effect():
  """Small kernels tell the forms of the standardisation apart."""
  variables = noisy_variables(small(), X)
  resnet_params = variables["params"]["resnet"]
  variables["params"]["resnet"] = tree.map_named(
    lambda name, p: 1e-3 * p if name.endswith("kernel") else p, resnet_params
  )
  plain = apply(small(), variables, X)["grid"]
  for fields in (
    dict(standardization="var + 1e-8"),
    dict(group_norm_epsilon=1e-2),
  ):
    other = apply(small(**fields), variables, X)["grid"]
    assert np.abs(other - plain).max() > 1e-3, fields


def test_initial_parameters():
  """The last norm of a unit starts at zero, as published."""
  init = jax.jit(small().init, compiler_options=small_models.COMPILE_FAST)
  params = init(jax.random.key(0), X)["params"]
  for name, value in tree.flatten(params["resnet"]).items():
    if name.endswith(("norm3/scale", "bias")):
      assert not np.any(value), name
    elif name.endswith("scale"):
      np.testing.assert_array_equal(value, 1.0)


BAD = [
  (dict(resnet_depths=(3, 0)), "resnet_depths=(3, 0) must be stages of at"),
  (dict(resnet_width_factor=0.25), "resnet_width_factor=0.25: 64 x 0.25 = 16"
   " channels are not a multiple of the 32 groups"),
  (dict(group_norm_epsilon=0.0), "group_norm_epsilon=0.0 must be positive"),
  (dict(resnet_depths=(), patch_size=(8, 8), image_size=(224, 240)),
   "image_size=(224, 240) / 4 = (56, 60), the ResNet's feature map, must be a"
   " multiple of patch_size=(8, 8) (60 % 8 = 4); nearest: 224 or 256"),
  (dict(image_size=(16, 16), patch_size=(2, 2)), "nearest: 32"),
  (dict(width=770), "width=770 must be a multiple of num_heads=12"),
  (dict(image_size=(0, 16)), "image_size=(0, 16) must be at least 1 px"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_wrong_configs(fields, message):
  with pytest.raises(errors.ConfigError) as e:
    hybrid.Config(**fields)
  assert message in str(e.value)
  assert "{" not in str(e.value)


FORMS = [
  ("R50+B/16", (3, 4, 9), 16, (14, 14)),
  ("R50+L/16", (3, 4, 9), 16, (14, 14)),
  ("R50+B/32", (3, 4, 6, 3), 32, (7, 7)),
  ("R50+ViT-L/32", (3, 4, 6, 3), 32, (7, 7)),
  ("R26+S/32", (2, 2, 2, 2), 32, (7, 7)),
  ("R26+B/32", (2, 2, 2, 2), 32, (7, 7)),
  ("R+Ti/16", (), 4, (7, 7)),
]


@pytest.mark.parametrize(("name", "depths", "stride", "grid"), FORMS)
def test_variants(name, depths, stride, grid):
  config = hybrid.variant(name)
  assert (config.resnet_depths, config.stride) == (depths, stride)
  assert config.grid == grid
  size = name.removeprefix("R50+ViT-").split("+")[-1].split("/")[0]
  assert config.width == vit.VARIANTS[size]["width"]
  plain = config_lib.to_config_dict(config)
  assert config_lib.build(hybrid.Config, plain) == config


def test_create():
  assert len(models.list_variants()["hybrid"]) == len(FORMS)
  model = models.create("hybrid", variant="R26+S/32", image_size=(96, 64))
  assert isinstance(model, hybrid.Model)
  assert model.config.grid == (3, 2)
  assert models.create("hybrid").config == hybrid.variant("R50+B/16")
  with pytest.raises(errors.ConfigError, match=r"did you mean R50\+B/16"):
    hybrid.variant("R50+B/14")


def test_images_that_do_not_fit():
  with pytest.raises(errors.ConfigError, match=r"image_size=\(24, 32\)"):
    small().init(jax.random.key(0), images((32, 24)))
