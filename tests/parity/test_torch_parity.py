"""Outputs of timm's and transformers' Swin and MobileViT, name by name."""

import re

import jax
import numpy as np
import pytest

from tests.parity import rule, torch_names
from vit_jax.core import tree
from vit_jax.models import mobilevit, swin

SWIN = rule.names("timm_swin*") + rule.names("hf_swin*")
MOBILEVIT = rule.names("timm_mobilevit*")


def swin_config(fixture):
  """Our config for the arguments that the published model was built with."""
  theirs = fixture["config"]
  hf = "transformers" in fixture["source"]
  side = theirs["image_size" if hf else "resolution"]
  return swin.Config(
    num_classes=theirs["num_labels" if hf else "num_classes"],
    image_size=(side, side),
    width=theirs["embed_dim"],
    depths=tuple(theirs["depths"]),
    num_heads=tuple(theirs["num_heads"]),
    mlp_ratio=theirs.get("mlp_ratio", 4.0),
    window_size=(theirs["window_size"],) * 2,
    window_pad="before_shift" if hf else "after_shift",
  )


def swin_variables(fixture, config):
  def heads_of(name):
    match = re.search(r"/stage(\d+)/", name)
    return config.num_heads[int(match[1])] if match else 0

  hf = "transformers" in fixture["source"]
  table = torch_names.HF_SWIN if hf else torch_names.TIMM_SWIN
  ours = torch_names.renamed(rule.params(fixture), table, heads_of)
  return torch_names.stacked(ours, config.depths)


def mobilevit_config(fixture):
  theirs = fixture["config"]
  side = theirs["resolution"]
  size = theirs["model"].removeprefix("mobilevit_").upper()
  return mobilevit.variant(
    size, num_classes=theirs["num_classes"], image_size=(side, side)
  )


def mobilevit_variables(fixture, config):
  table = torch_names.TIMM_MOBILEVIT
  ours = torch_names.renamed(
    rule.params(fixture), table, lambda name: config.num_heads
  )
  return tree.unflatten(ours)


def outputs(model, variables, images):
  """Ours; every parameter is used, and none is missing."""
  wanted = jax.eval_shape(model.init, jax.random.key(0), images)
  assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, wanted)
  with jax.default_matmul_precision("highest"):
    return jax.jit(model.apply)(variables, images)


def check(out, fixture):
  for key, theirs in fixture["outputs"].items():
    assert rule.error(np.asarray(out[key]), theirs) < 1e-5, key


def test_all_published_models_are_here():
  assert {"timm_swin", "timm_swin_3stage", "hf_swin"} <= set(SWIN)
  assert {"timm_mobilevit_s", "timm_mobilevit_xxs"} <= set(MOBILEVIT)


@pytest.mark.parametrize("name", SWIN)
def test_swin(name):
  fixture = rule.load(name)
  config = swin_config(fixture)
  variables = swin_variables(fixture, config)
  check(outputs(swin.Model(config), variables, rule.image(fixture)), fixture)


@pytest.mark.parametrize("name", MOBILEVIT)
def test_mobilevit(name):
  fixture = rule.load(name)
  config = mobilevit_config(fixture)
  variables = mobilevit_variables(fixture, config)
  model = mobilevit.Model(config)
  check(outputs(model, variables, rule.image(fixture)), fixture)
