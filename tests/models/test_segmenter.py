"""The segmenter: logits for each pixel over any backbone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models, vit_cases
from tests.models.small_models import apply, noisy_variables
from tests.models.test_mobilevit import SMALL as MOBILEVIT
from tests.models.test_swin import SMALL as SWIN
from vit_jax import models
from vit_jax.core import (
  config as config_lib,
  errors,
  mesh as mesh_lib,
  parts,
  tree,
)
from vit_jax.models import segmenter, vit
from vit_jax.optim import layers

BACKBONES = {
  name: dataclasses.replace(config, num_classes=0)
  for name, config in {
    "vit": vit_cases.small(pool="gap"),
    "swin": SWIN,
    "mobilevit": MOBILEVIT,
  }.items()
}
GRIDS = {"vit": (3, 4, 16), "swin": (6, 4, 16), "mobilevit": (5, 3, 10)}


def over(name, **fields):
  return segmenter.Config(BACKBONES[name], num_classes=3, **fields)


@pytest.mark.parametrize("name", BACKBONES)
def test_any_backbone(name):
  config = over(name)
  model = segmenter.Model(config)
  x = small_models.images(config.image_size)
  variables = noisy_variables(model, x)
  out = apply(model, variables, x)
  assert {k: v.shape for k, v in out.items()} == {
    "grid": (2, *GRIDS[name]),
    "logits": (2, *config.image_size, 3),
  }
  backbone = config_lib.module_for(config.backbone).Model(config.backbone)
  inner = {k: v["backbone"] for k, v in variables.items()}
  grid = apply(backbone, inner, x)["grid"]
  np.testing.assert_allclose(out["grid"], grid, rtol=1e-5, atol=1e-5)


def test_logits_are_bilinear_between_centres_of_cells():
  config = over("vit")
  model = segmenter.Model(config)
  x = small_models.images(config.image_size)
  variables = noisy_variables(model, x)
  out = apply(model, variables, x)
  head = variables["params"]["head"]
  cells = (
    out["grid"] @ head["kernel"]
    + np.broadcast_to(head["bias"], (3,))[None, None, None]
  )
  (h, w), (gh, gw) = config.image_size, cells.shape[1:3]
  for i, j in np.ndindex(h, w):
    y = np.clip((i + 0.5) * gh / h - 0.5, 0, gh - 1)
    x_ = np.clip((j + 0.5) * gw / w - 0.5, 0, gw - 1)
    expected = 0
    for a, b in np.ndindex(gh, gw):
      weight = max(0, 1 - abs(y - a)) * max(0, 1 - abs(x_ - b))
      expected = expected + weight * cells[:, a, b]
    np.testing.assert_allclose(
      out["logits"][:, i, j], expected, rtol=1e-4, atol=1e-4
    )


def test_head_is_float32_and_starts_at_its_bias():
  backbone = dataclasses.replace(BACKBONES["vit"], dtype="bfloat16")
  config = segmenter.Config(backbone, num_classes=3, head_bias_init=-2.0)
  assert config.dtype == "bfloat16"
  model = segmenter.Model(config)
  x = small_models.images(config.image_size)
  init = jax.jit(model.init, compiler_options=small_models.COMPILE_FAST)
  out = apply(model, init(jax.random.key(0), x), x)
  assert {k: str(v.dtype) for k, v in out.items()} == {
    "grid": "bfloat16",
    "logits": "float32",
  }
  np.testing.assert_array_equal(out["logits"], -2.0)


def test_speed_knobs_reach_the_backbone_and_change_nothing():
  model = segmenter.Model(over("vit"))
  x = small_models.images(model.config.image_size)
  variables = noisy_variables(model, x)
  expected = small_models.losses_and_gradients(model, variables, x)
  other = model.clone(unroll=0, remat="full")
  found = small_models.losses_and_gradients(other, variables, x)
  small_models.assert_close(found, expected)

  def program(model):
    return str(jax.make_jaxpr(lambda v: model.apply(v, x))(variables))

  assert "remat" in program(other)
  assert program(other) != program(other.clone(unroll=1))


@pytest.mark.parametrize(
  "name", sorted(set(models.list_variants()) - {"segmenter"})
)
def test_stacked_are_the_same_parameters_as_in_the_backbone(name):
  module = parts.find("vit_jax.models", name)
  config = module.Config(num_classes=0)
  x = small_models.images(config.image_size, batch=1)
  params = small_models.shapes(module.Model(config), x)["params"]
  for leaf in tree.flatten(params):
    inside = layers.prefix(leaf, module.STACKED)
    found = layers.prefix(f"backbone/{leaf}", segmenter.STACKED)
    assert found == (f"backbone/{inside}" if inside else "")


@pytest.mark.parametrize("name", BACKBONES)
def test_sharding_rules_fit(name):
  config = over(name)
  mesh = mesh_lib.make(mesh_lib.MeshShape(data=2, fsdp=2, tensor=2))
  x = small_models.images(config.image_size)
  params = small_models.shapes(segmenter.Model(config), x)["params"]
  rules = segmenter.sharding_rules(config)
  shardings = mesh_lib.shardings(mesh, params, rules)
  module = config_lib.module_for(config.backbone)
  inner = mesh_lib.shardings(
    mesh, params["backbone"], module.sharding_rules(config.backbone)
  )
  assert shardings["backbone"] == inner
  assert not any(shardings["head"]["kernel"].spec)


def test_config_has_one_image_size():
  config = over("swin")
  assert config.image_size == SWIN.image_size
  plain = config_lib.to_config_dict(config)
  assert plain.backbone.name == "swin"
  assert "image_size" not in plain
  assert config_lib.build(segmenter.Config, plain) == config


def test_create():
  config = models.create("segmenter", num_classes=21).config
  assert config == segmenter.Config(vit.Config(num_classes=0), 21)


def wrong(**fields):
  return lambda: segmenter.Config(**fields)


BAD = [
  (wrong(backbone=vit.Config()), "backbone.num_classes=1000 must be 0: the"
   " classes are those of num_classes=150"),
  (wrong(backbone=segmenter.Config()), "backbone is a segmenter itself"),
  (wrong(num_classes=0), "num_classes=0 must be at least 1"),
  (lambda: models.create("segmenter", "B/16"), "unknown variant B/16: a"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD)
def test_wrong_configs(make, message):
  with pytest.raises(errors.ConfigError) as e:
    make()
  assert message in str(e.value)


def test_images_that_do_not_fit():
  model = segmenter.Model(over("swin"))
  with pytest.raises(errors.ConfigError, match=r"image_size=\(24, 16\)"):
    model.init(jax.random.key(0), jnp.zeros((1, 16, 24, 3)))
