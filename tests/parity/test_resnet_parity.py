"""Outputs of the published BiT and hybrids, parameters put in by hand."""

import re

import jax
import numpy as np
import pytest

from tests.parity import rule, test_vit_parity
from vit_jax.core import tree
from vit_jax.models import bit, hybrid

# (published name, ours); published ResNets number blocks, which are stages,
# and their units from 1.
BIT = [
  (r"root_block/conv_root/", "root/"),
  (r"block(\d)/unit(\d+)/conv_proj/", r"stage\1_unit\2/conv_shortcut/"),
  (r"block(\d)/unit(\d+)/conv(\d)/", r"stage\1_unit\2/conv\3/"),
  (r"block(\d)/unit(\d+)/gn(\d)/", r"stage\1_unit\2/norm\3/"),
  (r"norm-pre-head/", "norm/"),
]
HYBRID = [
  (r"conv_root/", "resnet/root/"),
  (r"gn_root/", "resnet/norm_root/"),
  (r"block(\d)/unit(\d+)/conv_proj/", r"resnet/stage\1_unit\2/conv_shortcut/"),
  (r"block(\d)/unit(\d+)/gn_proj/", r"resnet/stage\1_unit\2/norm_shortcut/"),
  (r"block(\d)/unit(\d+)/conv(\d)/", r"resnet/stage\1_unit\2/conv\3/"),
  (r"block(\d)/unit(\d+)/gn(\d)/", r"resnet/stage\1_unit\2/norm\3/"),
]


def renamed(published, table):
  """Units get two digits, GroupNorm's parameters one axis."""
  ours = {}
  for name, value in published.items():
    for theirs, our in table:
      name = re.sub("^" + theirs, our, name)
    name = re.sub(r"_unit(\d)/", r"_unit0\1/", name)
    is_norm = re.search(r"norm(\d|_\w+)?/(scale|bias)$", name)
    ours[name] = value.reshape(-1) if is_norm else value
  assert len(ours) == len(published)
  return ours


def bit_case(fixture):
  theirs = fixture["config"]
  config = bit.Config(
    num_classes=theirs["num_classes"],
    image_size=(theirs["resolution"],) * 2,
    depths=tuple(theirs["depth"]),
    width_factor=float(theirs["width"]),
  )
  params = tree.unflatten(renamed(rule.params(fixture), BIT))
  return bit.Model(config), params


def hybrid_case(fixture):
  theirs = fixture["config"]
  blocks = theirs["transformer"]
  config = hybrid.Config(
    num_classes=theirs["num_classes"],
    image_size=(theirs["resolution"],) * 2,
    patch_size=tuple(theirs["patches"]["size"]),
    resnet_depths=tuple(theirs["resnet"]["num_layers"]),
    resnet_width_factor=float(theirs["resnet"]["width_factor"]),
    width=theirs["hidden_size"],
    depth=blocks["num_layers"],
    mlp_dim=blocks["mlp_dim"],
    num_heads=blocks["num_heads"],
    pool=theirs["classifier"],
    pre_logits_dim=theirs.get("representation_size", 0),
  )
  params = test_vit_parity.our_tree(renamed(rule.params(fixture), HYBRID))
  return hybrid.Model(config), params


CASES = {"bit": bit_case, "hybrid": hybrid_case}
NAMES = rule.names("bit_*") + rule.names("hybrid_*")


def test_all_published_resnets_are_here():
  assert NAMES == ["bit_r1211_x05", "hybrid_r_b11", "hybrid_r_stem"]


def errors(name, compiled=True):
  """By output; every parameter is used, and none is missing."""
  fixture = rule.load(name)
  model, params = CASES[name.split("_")[0]](fixture)
  images = rule.image(fixture)
  wanted = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
  assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, wanted)
  apply = jax.jit(model.apply) if compiled else model.apply
  with jax.default_matmul_precision("highest"):
    out = apply({"params": params}, images)
  return {
    key: rule.error(np.asarray(out[key]), theirs)
    for key, theirs in fixture["outputs"].items()
  }


@pytest.mark.parametrize("name", NAMES)
def test_published_outputs(name):
  found = errors(name)
  assert max(found.values()) < 1e-5, found


@pytest.mark.slow
def test_op_by_op_as_they_were_published():
  """Rounds like the published code, which moves by 1e-5 when compiled."""
  found = errors("bit_r1211_x05", compiled=False)
  assert max(found.values()) < 3e-6, found
