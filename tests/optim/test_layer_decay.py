"""Layer-wise rates: every parameter of real models against the formula."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.core import errors, tree
from vit_jax.models import bit, hybrid, swin, vit
from vit_jax.optim import adamw, base, sgd

DEPTH = 3
_TOKENS = dict(num_classes=5, width=8, depth=DEPTH, num_heads=2, mlp_dim=16)
_SMALL = dict(image_size=(8, 8), patch_size=(4, 4), **_TOKENS)
MODELS = {
  "vit": vit.Model(vit.Config(pre_logits_dim=4, **_SMALL)),
  "offsets": vit.Model(
    vit.Config(posemb="relative", posemb_at="shared", pool="map", **_SMALL)
  ),
  "hybrid": hybrid.Model(
    hybrid.Config(
      **{**_SMALL, "image_size": (16, 16), "patch_size": (1, 1)},
      resnet_depths=(1,),
      resnet_width_factor=0.5,
      posemb="learned_2d",
    )
  ),
}
# What is below and above the blocks, written down by hand.
LAYERS = {
  r"(class_token|embedding/.*|posemb/.*|resnet/.*)": 0,
  r"(norm/.*|pool/.*|pre_logits/.*|head/.*)": DEPTH + 1,
}


def ones(model):
  """A tree of ones, of the shapes of the model's parameters."""
  images = jnp.zeros((1, *model.config.image_size, 3))
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
  return jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)


def updates(config, params, stacked):
  tx = base.make(config, lambda _: jnp.float32(1), params, stacked=stacked)
  return tree.flatten(tx.update(params, tx.init(params), params)[0])


@pytest.mark.parametrize("name", MODELS)
def test_every_rate_is_the_formula_s(name):
  config = sgd.Config(peak_lr=0.5, momentum=0.0, layer_decay=0.75)
  # Gradients of one: the update is the learning rate, downwards.
  found = updates(config, ones(MODELS[name]), vit.STACKED)
  assert {n.split("/")[0] for n in found} >= {"embedding", "blocks", "head"}
  for n, update in found.items():
    update = np.asarray(update)
    if n.startswith("blocks/"):
      assert len(update) == DEPTH
      layers = dict(enumerate(update, 1))
    else:
      (layer,) = [v for k, v in LAYERS.items() if re.fullmatch(k, n)]
      layers = {layer: update}
    for layer, value in layers.items():
      rate = 0.5 * 0.75 ** (DEPTH + 1 - layer)
      np.testing.assert_allclose(value, -rate, rtol=1e-6, err_msg=n)


def test_it_is_part_of_the_rate_that_decays_weights_and_is_multiplied():
  params = ones(MODELS["vit"])
  config = adamw.Config(
    peak_lr=0.5,
    weight_decay=0.1,
    layer_decay=0.5,
    lr_multipliers=(("blocks/0/.*", 3.0),),
  )
  zeros = jax.tree.map(jnp.zeros_like, params)
  tx = base.make(config, lambda _: jnp.float32(1), params, stacked=vit.STACKED)
  got = tree.flatten(tx.update(zeros, tx.init(params), params)[0])
  first = got["blocks/mlp/hidden/kernel"][0]
  np.testing.assert_allclose(first, -0.5 * 0.1 * 0.5**3 * 3, rtol=1e-6)
  np.testing.assert_allclose(got["head/kernel"], -0.5 * 0.1, rtol=1e-6)


def test_one_is_none():
  params = ones(MODELS["vit"])
  plain = updates(sgd.Config(momentum=0.0), params, vit.STACKED)
  for value in plain.values():
    np.testing.assert_array_equal(value, value.ravel()[0])


@pytest.mark.parametrize("module", [swin, bit])
def test_models_of_another_form_are_refused(module):
  config = sgd.Config(layer_decay=0.9)
  params = {"stage0": {"pairs": {"kernel": jnp.ones((2, 3))}}}
  with pytest.raises(errors.ConfigError, match="not one stack of blocks") as e:
    base.make(config, lambda _: 1.0, params, stacked=module.STACKED)
  assert str(e.value.under("optim")).startswith("optim.layer_decay=0.9: this")
