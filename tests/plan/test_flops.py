"""Operations counted from shapes against the compiler's own count."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.small_models import images, shapes
from vit_jax import models
from vit_jax.plan import flops

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
# The smallest of each family; their rows are XLA's counts of unrolled models.
SMALL = {
  "axial_resnet": "R50",
  "axial_vit": "B/32",
  "vit": "Ti/16",
  "hybrid": "R+Ti/16",
  "bit": "R50x1",
  "swin": "T",
  "mobilevit": "XXS",
}


def test_every_family_is_here():
  heads = set(models.list_variants()) - {"segmenter"}
  assert set(SMALL) == heads


@pytest.mark.parametrize("name", SMALL)
def test_forward_pass(name):
  model = models.create(name, SMALL[name])
  ours = flops.of_model(model, (*model.config.image_size, 3))
  rows = json.loads((GOLDEN / f"{name}_variants.json").read_text())
  assert ours == pytest.approx(rows[SMALL[name]]["flops"], rel=0.03)


@pytest.mark.parametrize("remat", ["none", "full"])
def test_a_compiled_step(remat):
  """With its backward pass and what is computed again."""
  fields = dict(width=256, depth=3, mlp_dim=1024, num_heads=4, num_classes=10)
  model = models.create("vit", image_size=(16, 16), patch_size=(4, 4), **fields)
  x = images((16, 16), batch=2)

  def gradients(model):
    def loss(params, x):
      out = model.apply({"params": params}, x, train=True)
      return jnp.square(out["logits"]).sum()

    return jax.grad(loss)

  params = shapes(model, x)["params"]
  looped = flops.of_function(
    gradients(model.clone(unroll=1, remat=remat)), params, x
  )
  unrolled = jax.jit(gradients(model.clone(unroll=0, remat=remat)))
  # The unoptimised program has the very operations of the optimised.
  counted = unrolled.lower(params, x).cost_analysis()["flops"]
  assert looped == pytest.approx(counted, rel=0.03)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_convolution_and_its_gradients(strides, groups):
  def f(x, k):
    y = jax.lax.conv_general_dilated(
      x,
      k,
      (strides, strides),
      "SAME",
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
      feature_group_count=groups,
    )
    return jnp.square(y).sum()

  x = jnp.ones((2, 9, 9, 32))
  k = jnp.ones((3, 3, 32 // groups, 64))
  step = jax.grad(f, (0, 1))
  counted = jax.jit(step).lower(x, k).cost_analysis()["flops"]
  assert flops.of_function(step, x, k) == pytest.approx(counted, rel=0.02)


def test_a_loop_counts_once_a_turn():
  w = np.ones((5, 4, 4), np.float32)

  def f(x):
    return jax.lax.scan(lambda x, w: (x @ w, None), x, w)[0]

  assert flops.of_function(f, jnp.ones((2, 4))) == 5 * 2 * 2 * 4 * 4


def test_a_model_without_a_head_lacks_the_head_alone():
  whole, bare = (
    flops.of_model(models.create("vit", "Ti/16", classes), (224, 224, 3))
    for classes in (1000, 0)
  )
  assert whole - bare == pytest.approx(2 * 192 * 1000 + 1000)
