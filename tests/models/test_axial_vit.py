"""Axial-ViT: who sees whom, what it consists of, what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models
from vit_jax import models
from vit_jax.core import errors, tree
from vit_jax.models import axial_vit

SMALL = axial_vit.Config(
  num_classes=6,
  image_size=(12, 20),
  patch_size=(4, 4),
  width=16,
  depth=2,
  mlp_dim=24,
  num_heads=2,
)


def count(model, side):
  x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  leaves = jax.tree.leaves(small_models.shapes(model, x)["params"])
  return sum(leaf.size for leaf in leaves)


@pytest.mark.parametrize("name", axial_vit.VARIANTS)
def test_every_block_is_there_twice(name):
  """And all else is the ViT's without its class token."""
  axial = models.create("axial_vit", f"Axial-ViT-{name}")
  once, none = (
    count(models.create("vit", name, pool="gap", depth=depth), 224)
    for depth in (12, 1)
  )
  block = (once - none) // 11
  assert count(axial, 224) == once + 12 * block


def test_outputs():
  x = small_models.images((12, 20))
  model = axial_vit.Model(SMALL)
  out = small_models.apply(model, small_models.noisy_variables(model, x), x)
  assert {k: v.shape for k, v in out.items()} == {
    "grid": (2, 3, 5, 16),
    "tokens": (2, 15, 16),
    "pre_logits": (2, 16),
    "logits": (2, 6),
  }
  np.testing.assert_array_equal(out["tokens"].reshape(2, 3, 5, 16), out["grid"])
  mean = np.mean(np.asarray(out["grid"]), axis=(1, 2), dtype=np.float64)
  np.testing.assert_allclose(out["pre_logits"], mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["rows", "columns", "both"])
def test_a_token_sees_its_row_and_its_column(kind):
  """Without the blocks of one kind it sees a line, with both everything."""
  x = small_models.images((12, 20), batch=1)
  model = axial_vit.Model(SMALL)
  variables = small_models.noisy_variables(model, x)

  def silent(name, leaf):
    other = {"rows": "blocks/columns", "columns": "blocks/rows"}.get(kind, "-")
    return jnp.zeros_like(leaf) if name.startswith(other) else leaf

  params = tree.map_named(silent, variables["params"])

  def token(x):
    return model.apply({"params": params}, x)["grid"][0, 1, 2, 0]

  compiled = jax.jit(
    jax.grad(token), compiler_options=small_models.COMPILE_FAST
  )
  grads = np.abs(compiled(x)).reshape(3, 4, 5, 4, 3).max(axis=(1, 3, 4))
  seen = np.zeros((3, 5), bool)
  seen[1 if kind == "rows" else slice(None)] = kind != "columns"
  seen[:, 2] |= kind == "columns"
  np.testing.assert_array_equal(grads > 1e-9, seen)


@pytest.mark.parametrize(
  ("fields", "says"),
  [
    (dict(depth=0), "depth=0 must be at least 1"),
    (dict(num_classes=-1), "num_classes=-1 must be at least 0"),
    (dict(patch_size=(0, 4)), "patch_size=.* at least 1 px each way"),
    (dict(dropout=1.0), "dropout=1.0 must be at least 0 and less than 1"),
    (dict(width=770), r"\(770 % 12 = 2\); nearest: 768 or 780"),
    (dict(image_size=(224, 230)), r"\(230 % 16 = 6\)"),
    (dict(num_classes=0, head_bias_init=-1.0), "needs a head"),
  ],
)
def test_config_errors(fields, says):
  with pytest.raises(errors.ConfigError, match=says):
    axial_vit.Config(**fields)


def test_unknown_variant_and_wrong_images():
  with pytest.raises(errors.ConfigError, match="unknown variant B/8"):
    axial_vit.variant("B/8")
  with pytest.raises(errors.ConfigError, match=r"do not fit .*image_size"):
    axial_vit.Model(SMALL).init(jax.random.key(0), jnp.zeros((1, 8, 20, 3)))
