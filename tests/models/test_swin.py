"""The Swin Transformer: outputs, speed knobs, gradients, configs, sharding."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models
from tests.models.small_models import apply, noisy_variables
from vit_jax import models
from vit_jax.core import config as config_lib, errors, tree
from vit_jax.models import swin
from vit_jax.nn import swin_block
from vit_jax.optim import layers

# Grids of 12 x 8 and 6 x 4: windows that fit, that are padded, and that are
# not shifted along one axis; a block on its own, and two pairs.
SMALL = swin.Config(
  num_classes=5,
  image_size=(24, 16),
  patch_size=(2, 2),
  width=8,
  depths=(1, 4),
  num_heads=(2, 4),
  mlp_ratio=1.5,
  window_size=(4, 4),
)
X = small_models.images(SMALL.image_size)


def small(**fields):
  return swin.Model(dataclasses.replace(SMALL, **fields))


def test_output_keys_and_shapes():
  model = small()
  out = apply(model, noisy_variables(model, X), X)
  assert {k: v.shape for k, v in out.items()} == {
    "tokens": (2, 24, 16),
    "grid": (2, 6, 4, 16),
    "pre_logits": (2, 16),
    "logits": (2, 5),
  }
  tokens = out["grid"].reshape(2, 24, 16)
  np.testing.assert_array_equal(out["tokens"], tokens)
  np.testing.assert_allclose(
    out["pre_logits"], tokens.mean(1), rtol=1e-5, atol=1e-6
  )


def test_pairs_of_blocks_are_stacked():
  params = tree.flatten(small_models.shapes(small(), X)["params"])
  pairs = [v for k, v in params.items() if k.startswith("stage1/pairs/")]
  assert len(pairs) == 34
  assert {len(v.shape) and v.shape[0] for v in pairs} == {2}


def test_stochastic_depth():
  plain, dropped = small(), small(stochastic_depth=0.5)
  variables = noisy_variables(plain, X)
  expected = apply(plain, variables, X)["logits"]
  off = apply(dropped, variables, X)["logits"]
  np.testing.assert_array_equal(off, expected)
  first, again, other = (
    apply(dropped, variables, X, train=True, key=key)["logits"]
    for key in (0, 0, 1)
  )
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1e-2
  assert np.abs(first - expected).max() > 1e-2


def test_drop_rates_grow_over_all_stages():
  """The first block never drops; a rate close to 1 leaves it alone."""
  model = small(depths=(2,), num_heads=(2,), stochastic_depth=1 - 1e-7)
  variables = noisy_variables(model, X)
  dropped = apply(model, variables, X, train=True)
  params = dict(variables["params"])
  block = params.pop("stage0")["pairs"]["regular"]
  params["stage0"] = {"last": jax.tree.map(lambda leaf: leaf[0], block)}
  alone = apply(small(depths=(1,), num_heads=(2,)), {"params": params}, X)
  np.testing.assert_allclose(dropped["logits"], alone["logits"], atol=1e-6)
  found = np.concatenate(swin.drop_rates(swin.Config(stochastic_depth=0.2)))
  np.testing.assert_allclose(found, np.arange(12) * 0.2 / 11, rtol=1e-6)


@pytest.mark.parametrize(("depth", "reach"), [(1, 4), (2, 8), (3, 8)])
def test_every_second_block_is_shifted(depth, reach):
  """Cell (3, 3) sees its window of 4 x 4, and through a shifted one all."""
  model = small(image_size=(16, 16), depths=(depth,), num_heads=(2,))
  x = small_models.images((16, 16), batch=1)
  variables = noisy_variables(model, x)
  cell = lambda x: model.apply(variables, x)["grid"][0, 3, 3].sum()  # noqa: E731
  grad = jax.jit(jax.grad(cell), compiler_options=small_models.COMPILE_FAST)
  seen = np.abs(grad(x))[0].sum(-1) > 0
  expected = np.zeros((16, 16), bool)
  expected[: 2 * reach, : 2 * reach] = True
  np.testing.assert_array_equal(seen, expected)


def test_merging_takes_the_published_order():
  """Cell (0, 0), (1, 0), (0, 1), (1, 1) of each four, and zeros at the end."""
  x = jnp.arange(1.0, 7.0, dtype=jnp.float32).reshape(1, 2, 3, 1)
  module = swin_block.PatchMerging(jnp.float32)
  params = {
    "norm": {"scale": np.ones(4, np.float32), "bias": np.zeros(4, np.float32)},
    "reduction": {"kernel": np.eye(4, 2, dtype=np.float32)},
  }
  found = module.apply({"params": params}, x)
  for cell, four in enumerate([[1, 4, 2, 5], [3, 6, 0, 0]]):
    four = np.asarray(four, np.float32)
    normed = (four - four.mean()) / np.sqrt(four.var() + 1e-5)
    np.testing.assert_allclose(found[0, 0, cell], normed[:2], rtol=1e-5)


def test_initial_parameters():
  model = small(width=64, head_bias_init=-3.0)
  init = jax.jit(model.init, compiler_options=small_models.COMPILE_FAST)
  flat = tree.flatten(init(jax.random.key(0), X)["params"])
  for name, leaf in flat.items():
    if name.startswith("stage") and name.endswith(("kernel", "relative_bias")):
      assert abs(np.std(leaf) / 0.02 - 1) < 0.15, name
  query = flat["stage1/pairs/regular/attention/query/kernel"]
  assert not np.array_equal(query[0], query[1])
  assert not np.asarray(flat["head/kernel"]).any()
  np.testing.assert_array_equal(flat["head/bias"], -3.0)


def test_stacked_names_every_layer():
  params = small_models.shapes(small(), X)["params"]
  for name, leaf in tree.flatten(params).items():
    is_pair = "/pairs/" in name
    assert bool(layers.prefix(name, swin.STACKED)) == is_pair
    if is_pair:
      assert leaf.shape[0] == 2
  match = layers.first_match(
    params, ["stage1/pairs/1/shifted/.*kernel", "stage0/.*"], swin.STACKED
  )
  found = match["stage1/pairs/shifted/mlp/out/kernel"]
  np.testing.assert_array_equal(found.ravel(), [-1, 0])
  assert match["stage0/last/mlp/out/kernel"] == 1
  assert match["stage1/merge/reduction/kernel"] == -1


BAD = [
  (dict(depths=(2, 2)), "depths=(2, 2) has 2 stages, num_heads=(3, 6, 12, 24)"
   " has 4; give one number for each stage"),
  (dict(depths=(), num_heads=()), "depths=() must be at least 1 in every"),
  (dict(depths=(2, 2, 0, 2)), "must be at least 1 in every stage"),
  (dict(num_heads=(0, 6, 12, 24)), "num_heads=(0, 6, 12, 24) must be at least"),
  (dict(width=98), "width=98 makes a stage of width 98, which must be a"
   " multiple of its heads in num_heads=(3, 6, 12, 24) (98 % 3 = 2); nearest:"
   " 96 or 99"),
  (dict(width=0), "width=0 must be at least 1"),
  (dict(image_size=(224, 230)), "image_size=(224, 230) must be a multiple of"
   " patch_size=(4, 4) (230 % 4 = 2); nearest: 228 or 232"),
  (dict(image_size=(2, 4)), "(2 % 4 = 2); nearest: 4"),
  (dict(patch_size=(0, 4)), "patch_size=(0, 4) must be at least 1 px"),
  (dict(window_size=(7, 0)), "window_size=(7, 0) must be at least 1 cell"),
  (dict(mlp_ratio=0.001), "mlp_ratio=0.001 x width=96 must be at least 1"),
  (dict(mlp_ratio=float("nan")), "mlp_ratio=nan x width=96 must be"),
  (dict(mlp_ratio=float("inf")), "mlp_ratio=inf x width=96 must be"),
  (dict(num_classes=-1), "num_classes=-1 must be at least 0"),
  (dict(stochastic_depth=1.0), "stochastic_depth=1.0 must be at least 0"),
  (dict(depths=(1,), num_heads=(3,), stochastic_depth=0.1), "use 0"),
  (dict(head_bias_init=-1.0, num_classes=0), "num_classes=0; use 0"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_wrong_configs(fields, message):
  with pytest.raises(errors.ConfigError) as e:
    swin.Config(**fields)
  assert message in str(e.value)
  assert "{" not in str(e.value)


def test_variants():
  assert swin.variant("T") == swin.Config()
  fields = dict(image_size=(384, 384), window_size=(12, 12))
  base = swin.variant("B", **fields)
  assert base.num_heads == (4, 8, 16, 32)
  assert models.create("swin", "B", **fields).config == base
  plain = config_lib.to_config_dict(base)
  assert config_lib.build(swin.Config, plain) == base
  with pytest.raises(errors.ConfigError, match="unknown variant t"):
    swin.variant("t")
  with pytest.raises(errors.ConfigError, match="did you mean width"):
    swin.variant("T", widht=3)


def test_images_that_do_not_fit():
  model = small()
  for shape, error, message in [
    ((1, 16, 24, 3), errors.ConfigError, r"image_size=\(24, 16\)"),
    ((24, 16, 3), errors.ConfigError, r"\[B, h, w, c\]"),
  ]:
    with pytest.raises(error, match=message):
      model.init(jax.random.key(0), jnp.zeros(shape))
  with pytest.raises(TypeError, match="uint8"):
    model.init(jax.random.key(0), jnp.zeros((1, 24, 16, 3), jnp.uint8))
