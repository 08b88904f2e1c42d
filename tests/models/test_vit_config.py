"""Configs, variants and sharding rules of the Vision Transformer."""

import jax
import numpy as np
import pytest

from tests.models.vit_cases import apply, images, noisy_params, small
from vit_jax import models
from vit_jax.core import config as config_lib, errors, mesh as mesh_lib, tree
from vit_jax.models import vit

BAD = [
  (dict(width=770), "width=770 must be a multiple of num_heads=12"
   " (770 % 12 = 2); nearest: 768 or 780"),
  (dict(image_size=(224, 230)), "image_size=(224, 230) must be a multiple of"
   " patch_size=(16, 16) (230 % 16 = 6); nearest: 224 or 240"),
  (dict(image_size=(8, 16)), "(8 % 16 = 8); nearest: 16"),
  (dict(depth=0), "depth=0 must be at least 1"),
  (dict(num_heads=0), "num_heads=0 must be at least 1"),
  (dict(width=0), "width=0 must be at least 1"),
  (dict(mlp_dim=-1), "mlp_dim=-1 must be at least 1"),
  (dict(num_classes=-1), "num_classes=-1 must be at least 0"),
  (dict(pre_logits_dim=-1), "pre_logits_dim=-1 must be at least 0"),
  (dict(patch_size=(0, 16)), "patch_size=(0, 16) must be at least 1 px"),
  (dict(image_size=(224, 0)), "image_size=(224, 0) must be at least 1 px"),
  (dict(dropout=1.0), "dropout=1.0 must be at least 0 and less than 1"),
  (dict(attention_dropout=-0.1), "attention_dropout=-0.1 must be at least 0"),
  (dict(stochastic_depth=1.5), "stochastic_depth=1.5 must be at least 0"),
  (dict(dropout=float("nan")), "dropout=nan must be at least 0"),
  (dict(stochastic_depth=0.1, depth=1), "depth=1 is the first; use 0"),
  (dict(head_bias_init=-10.0, num_classes=0), "num_classes=0; use 0"),
  (dict(posemb="none", posemb_at="shared"), "posemb=none with posemb_at=shared"
   ": none has nothing to add; use stem"),
  (dict(posemb="none", posemb_at="every_layer"), "nothing to add; use stem"),
  (dict(posemb="relative"), "posemb=relative with posemb_at=stem: relative"),
  (dict(posemb="sincos_2d", posemb_at="every_layer"), "use shared"),
  (dict(posemb="sincos_2d"), "set class_token_position=True to False"),
  (dict(posemb="sincos_2d", pool="gap", width=18, num_heads=2),
   "width=18 must be a multiple of 4 for posemb=sincos_2d (18 % 4 = 2);"
   " nearest: 16 or 20"),
  (dict(posemb="sincos_2d", pool="gap", width=4, num_heads=2),
   "width=4 must be at least 8 for posemb=sincos_2d"),
  (dict(posemb="learned_2d", width=9, num_heads=3), "(9 % 2 = 1); nearest: 8"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_wrong_configs(fields, message):
  with pytest.raises(errors.ConfigError) as e:
    vit.Config(**fields)
  assert message in str(e.value)
  assert "{" not in str(e.value)


def test_config_survives_the_config_dict():
  config = small(pool="gap", posemb="sincos_2d")
  plain = config_lib.to_config_dict(config)
  assert config_lib.build(vit.Config, plain) == config


def test_variants_by_the_papers_names():
  assert vit.variant("B/16") == vit.Config() == vit.variant("ViT-B/16")
  large = vit.variant("L/32", num_classes=0, image_size=(384, 384))
  assert (large.depth, large.patch_size, large.grid) == (24, (32, 32), (12, 12))
  assert vit.variant("Ti/16x8").patch_size == (16, 8)


WRONG_VARIANTS = [
  ("b/16", {}, "unknown variant b/16"),
  ("XL/16", {}, "did you mean L?"),
  ("B", {}, "variant B has no patch size; write B/16"),
  ("B/x", {}, "variant B/x has no patch size"),
  ("B/16", dict(widht=3), "unknown field widht; did you mean width?"),
  (
    "B/16",
    dict(pool="avg"),
    "pool=avg is not one of: token, gap, patches, map",
  ),
  ("B/16", dict(width=1.5), "width=1.5 is a float, not a int"),
  ("H/14", dict(image_size=(225, 224)), "(225 % 14 = 1); nearest: 224 or 238"),
]


@pytest.mark.parametrize(("name", "fields", "message"), WRONG_VARIANTS)
def test_wrong_variants(name, fields, message):
  with pytest.raises(errors.ConfigError) as e:
    vit.variant(name, **fields)
  assert message in str(e.value)


def test_create():
  model = models.create("vit", variant="S/32", num_classes=7, pool="gap")
  assert isinstance(model, vit.Model)
  assert model.config == vit.variant("S/32", num_classes=7, pool="gap")
  assert models.create("vit", depth=2).config == vit.Config(depth=2)
  with pytest.raises(errors.ConfigError, match="did you mean vit"):
    models.create("vitt")


def test_list_variants():
  sizes = models.list_variants()["vit"]
  assert sizes == ("Ti", "S", "B", "L", "H", "g", "G")
  assert {vit.variant(f"{size}/14").width for size in sizes} == {
    v["width"] for v in vit.VARIANTS.values()
  }


SHARDED = [
  dict(),
  dict(num_classes=0),
  dict(pool="map", pre_logits_dim=8),
  dict(posemb="none", pool="gap"),
  dict(posemb="relative", posemb_at="shared"),
]


@pytest.mark.parametrize("fields", SHARDED)
def test_sharding_rules_fit_and_split_every_kernel(fields):
  config = small(**fields)
  mesh = mesh_lib.make(mesh_lib.MeshShape(data=2, fsdp=2, tensor=2))
  model = vit.Model(config)
  params = jax.eval_shape(model.init, jax.random.key(0), images())["params"]
  shardings = mesh_lib.shardings(mesh, params, vit.sharding_rules(config))
  specs = {k: v.spec for k, v in tree.flatten(shardings).items()}
  whole = [
    name
    for name, spec in specs.items()
    if name.endswith("kernel") and not any(spec)
  ]
  assert not whole
  p = jax.sharding.PartitionSpec
  assert specs["blocks/attention/query/kernel"] == p(
    None, "fsdp", "tensor", None
  )
  assert specs["blocks/mlp/out/kernel"] == p(None, "tensor", "fsdp")


def test_sharded_equals_whole():
  config = small(pool="map")
  model = vit.Model(config)
  x = images(config, batch=4)
  params = noisy_params(model, x)
  mesh = mesh_lib.make(mesh_lib.MeshShape(data=2, fsdp=2, tensor=2))
  shardings = mesh_lib.shardings(mesh, params, vit.sharding_rules(config))
  whole = apply(config, params, x)["logits"]
  split = jax.jit(model.apply)(
    {"params": jax.device_put(params, shardings)},
    jax.device_put(x, mesh_lib.batch_sharding(mesh)),
  )["logits"]
  np.testing.assert_allclose(split, whole, rtol=1e-4, atol=1e-5)
