"""The Vision Transformer: outputs, positions, speed knobs, initial values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.vit_cases import (
  SMALL,
  apply,
  images,
  noisy_params,
  outputs,
  small,
)
from vit_jax.core import errors, tree
from vit_jax.models import vit

POSITIONS = [
  ("learned_1d", "stem"),
  ("learned_1d", "every_layer"),
  ("learned_1d", "shared"),
  ("learned_2d", "stem"),
  ("learned_2d", "every_layer"),
  ("learned_2d", "shared"),
  ("sincos_2d", "stem"),
  ("sincos_2d", "shared"),
  ("relative", "every_layer"),
  ("relative", "shared"),
]


@pytest.mark.parametrize("pool", ["token", "gap", "map"])
def test_output_keys_and_shapes(pool):
  config = small(pool=pool, pre_logits_dim=7)
  out = outputs(config, attention_weights=True)
  n = 12 + (pool == "token")
  assert {k: v.shape for k, v in out.items()} == {
    "tokens": (2, n, 16),
    "grid": (2, 3, 4, 16),
    "pre_logits": (2, 7),
    "logits": (2, 5),
    "attention": (3, 2, 2, n, n),
    **({"pool_attention": (2, 2, n)} if pool == "map" else {}),
  }
  patches = out["tokens"][:, n - 12 :]
  np.testing.assert_array_equal(out["grid"].reshape(2, 12, 16), patches)
  assert np.abs(np.asarray(out["pre_logits"])).max() <= 1


def test_no_head_no_logits():
  out = outputs(small(num_classes=0))
  assert sorted(out) == ["grid", "pre_logits", "tokens"]
  np.testing.assert_array_equal(out["pre_logits"], out["tokens"][:, 0])


def test_attention_rows_sum_to_one_also_while_training():
  config = small(attention_dropout=0.5)
  out = outputs(config, train=True, attention_weights=True)
  np.testing.assert_allclose(out["attention"].sum(-1), 1.0, atol=1e-6)
  assert np.asarray(out["attention"]).std() > 1e-3


def test_bfloat16_computes_in_it_and_ends_in_float32():
  config = small(dtype="bfloat16")
  model = vit.Model(config)
  x = images()
  params = noisy_params(model, x)
  assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("f4")}
  out = apply(config, params, x, attention_weights=True)
  assert {k: str(v.dtype) for k, v in out.items()} == {
    "tokens": "bfloat16",
    "grid": "bfloat16",
    "pre_logits": "float32",
    "logits": "float32",
    "attention": "float32",
  }
  exact = apply(SMALL, params, x)
  error = np.abs(out["logits"] - exact["logits"]).max()
  assert 1e-4 < error < 0.1 * np.asarray(exact["logits"]).std()


def permuted(x, order):
  """The images with their patches (3 x 4 of 4 x 2 px) in another order."""
  b, c = x.shape[0], x.shape[-1]
  patches = x.reshape(b, 3, 4, 4, 2, c).transpose(0, 1, 3, 2, 4, 5)
  patches = patches.reshape(b, 12, 4, 2, c)[:, order]
  patches = patches.reshape(b, 3, 4, 4, 2, c)
  return patches.transpose(0, 1, 3, 2, 4, 5).reshape(x.shape)


def patch_order_error(config):
  """How much tokens and logits depend on the order of the patches."""
  order = np.random.default_rng(3).permutation(12)
  x = images(config)
  params = noisy_params(vit.Model(config), x)
  both = apply(config, params, jnp.concatenate([x, permuted(x, order)]))
  straight, shuffled = (
    {k: v[i : i + 2] for k, v in both.items()} for i in (0, 2)
  )
  flat = straight["grid"].reshape(2, 12, 16)[:, order]
  tokens = np.abs(flat - shuffled["grid"].reshape(2, 12, 16)).max()
  logits = np.abs(straight["logits"] - shuffled["logits"]).max()
  return max(tokens, logits), min(tokens, logits)


@pytest.mark.parametrize("pool", ["token", "gap", "map"])
def test_without_positions_patches_are_a_set(pool):
  worst, _ = patch_order_error(small(posemb="none", pool=pool))
  assert worst < 1e-5


@pytest.mark.parametrize(("kind", "at"), POSITIONS)
def test_with_positions_order_matters(kind, at):
  config = small(posemb=kind, posemb_at=at, class_token_position=False)
  _, least = patch_order_error(config)
  assert least > 1e-3


POSITION_PARAMS = {
  ("learned_1d", "stem"): {"posemb/table": (13, 16)},
  ("learned_1d", "every_layer"): {"blocks/posemb/table": (3, 13, 16)},
  ("learned_1d", "shared"): {"posemb/table": (13, 16)},
  ("learned_2d", "every_layer"): {
    "blocks/posemb/class_token": (3, 1, 16),
    "blocks/posemb/columns": (3, 4, 8),
    "blocks/posemb/rows": (3, 3, 8),
  },
  ("relative", "every_layer"): {"blocks/posemb/offsets": (3, 25, 2, 8)},
  ("relative", "shared"): {"posemb/offsets": (25, 2, 8)},
}


@pytest.mark.parametrize(("kind", "at"), POSITION_PARAMS)
def test_position_parameters(kind, at):
  model = vit.Model(small(posemb=kind, posemb_at=at))
  params = jax.eval_shape(model.init, jax.random.key(0), images())["params"]
  named = tree.flatten(params).items()
  found = {k: v.shape for k, v in named if "posemb" in k}
  assert found == POSITION_PARAMS[kind, at]


@pytest.mark.parametrize(
  ("fields", "offsets"),
  [(dict(class_token_position=False), 23), (dict(pool="gap"), 23), ({}, 25)],
)
def test_only_tokens_with_a_position_have_offsets(fields, offsets):
  config = small(posemb="relative", posemb_at="shared", **fields)
  init = vit.Model(config).init
  params = jax.eval_shape(init, jax.random.key(0), images())["params"]
  assert params["posemb"]["offsets"].shape == (offsets, 2, 8)


def test_a_shared_table_is_added_at_every_layer():
  """Shared equals tables of one's own that happen to be equal."""
  x = images()
  shared = vit.Model(small(posemb_at="shared"))
  own = vit.Model(small(posemb_at="every_layer"))
  params = noisy_params(shared, x)
  copied = {k: v for k, v in params.items() if k != "posemb"}
  table = jnp.stack([params["posemb"]["table"]] * 3)
  copied["blocks"] = {**params["blocks"], "posemb": {"table": table}}
  a = apply(shared.config, params, x)
  b = apply(own.config, copied, x)
  stem = apply(SMALL, params, x)
  np.testing.assert_allclose(a["logits"], b["logits"], atol=1e-6)
  assert np.abs(a["logits"] - stem["logits"]).max() > 1e-2


DROPPED = dict(dropout=0.2, attention_dropout=0.2, stochastic_depth=0.3)


def test_dropout_is_off_in_evaluation_and_a_function_of_its_key():
  config = small(**DROPPED)
  x = images(config)
  params = noisy_params(vit.Model(config), x)
  plain = apply(SMALL, params, x)["logits"]
  np.testing.assert_array_equal(apply(config, params, x)["logits"], plain)
  first, again, other = (
    apply(config, params, x, train=True, key=key)["logits"] for key in (0, 0, 1)
  )
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1e-2
  assert np.abs(first - plain).max() > 1e-2


@pytest.mark.parametrize(
  "field", ["dropout", "attention_dropout", "stochastic_depth"]
)
def test_each_rate_has_an_effect(field):
  x = images()
  params = noisy_params(vit.Model(SMALL), x)
  changed = apply(small(**{field: 0.5}), params, x, train=True)["logits"]
  assert np.abs(changed - apply(SMALL, params, x)["logits"]).max() > 1e-2


def test_first_block_never_drops():
  """Depth 2 with a rate close to 1 is the first block alone."""
  config = small(depth=2, stochastic_depth=1 - 1e-7)
  x = images(config)
  params = noisy_params(vit.Model(config), x)
  dropped = apply(config, params, x, train=True)
  first = jax.tree.map(lambda leaf: leaf[:1], params["blocks"])
  alone = apply(small(depth=1), {**params, "blocks": first}, x)
  np.testing.assert_allclose(dropped["logits"], alone["logits"], atol=1e-6)


def test_initial_parameters():
  """Shapes large enough that the spread of each kernel is its fan's."""
  config = small(
    width=64, num_heads=4, mlp_dim=256, pre_logits_dim=32, head_bias_init=-3.0
  )
  init = jax.jit(vit.Model(config).init)
  params = init(jax.random.key(0), images())["params"]
  flat = {k: np.asarray(v) for k, v in tree.flatten(params).items()}
  xavier = lambda fan_in, fan_out: np.sqrt(6 / (fan_in + fan_out))  # noqa: E731
  bounds = {
    "blocks/attention/query/kernel": xavier(64, 64),
    "blocks/attention/key/kernel": xavier(64, 64),
    "blocks/attention/value/kernel": xavier(64, 64),
    "blocks/attention/out/kernel": xavier(64, 64),
    "blocks/mlp/hidden/kernel": xavier(64, 256),
    "blocks/mlp/out/kernel": xavier(256, 64),
  }
  for name, bound in bounds.items():
    assert 0.97 * bound < np.abs(flat[name]).max() <= bound, name
    assert not np.array_equal(flat[name][0], flat[name][1]), name
  deviations = {
    "blocks/mlp/hidden/bias": 1e-6,
    "posemb/table": 0.02,
    "embedding/kernel": 1 / np.sqrt(4 * 2 * 3),
    "pre_logits/kernel": 1 / np.sqrt(64),
  }
  for name, deviation in deviations.items():
    assert abs(flat[name].std() / deviation - 1) < 0.12, name
  for name in ("class_token", "head/kernel", "blocks/attention/query/bias"):
    assert not flat[name].any()
  np.testing.assert_array_equal(flat["head/bias"], -3.0)


def test_images_that_do_not_fit():
  model = vit.Model(SMALL)
  with pytest.raises(errors.ConfigError, match=r"image_size=\(12, 8\)"):
    model.init(jax.random.key(0), jnp.zeros((1, 8, 12, 3)))
  with pytest.raises(errors.ConfigError, match=r"\[B, h, w, c\]"):
    model.init(jax.random.key(0), jnp.zeros((12, 8, 3)))
  with pytest.raises(TypeError, match="uint8"):
    model.init(jax.random.key(0), jnp.zeros((1, 12, 8, 3), jnp.uint8))
