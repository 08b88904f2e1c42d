"""Counts at other sizes than the variants' own, and the tree of one."""

import functools
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import pytest

from vit_jax.core import tree
from vit_jax.models import vit

GOLDEN = json.loads(
  (pathlib.Path(__file__).parents[1] / "golden/vit_shapes.json").read_text()
)


@functools.cache
def shapes(name, side=224, num_classes=1000):
  """Shapes of the parameters by name."""
  config = vit.variant(name, image_size=(side, side), num_classes=num_classes)
  images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  init = vit.Model(config).init
  params = jax.eval_shape(init, jax.random.key(0), images)["params"]
  return {k: list(v.shape) for k, v in tree.flatten(params).items()}


COUNTS = [
  (key, name, *sizes)
  for key, sizes in {
    "img224_no_head": (224, 0),
    "img384_head1000": (384, 1000),
  }.items()
  for name in GOLDEN["parameters"][key]
]


@pytest.mark.parametrize(("key", "name", "side", "num_classes"), COUNTS)
def test_parameter_counts(key, name, side, num_classes):
  found = sum(map(math.prod, shapes(name, side, num_classes).values()))
  assert found == GOLDEN["parameters"][key][name]


def test_names_and_shapes():
  assert shapes("B/16") == GOLDEN["tree"]["B/16"]
