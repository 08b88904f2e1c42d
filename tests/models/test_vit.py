"""The Vision Transformer: outputs, invariants, knobs, variants, errors."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax import models
from vit_jax.core import config as config_lib, errors, mesh as mesh_lib, tree
from vit_jax.models import vit

SMALL = vit.Config(
  num_classes=5,
  image_size=(12, 8),
  patch_size=(4, 2),
  width=16,
  depth=3,
  mlp_dim=24,
  num_heads=2,
)
COMPILE_FAST = {"xla_backend_optimization_level": 0}
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


def small(**fields):
  return dataclasses.replace(SMALL, **fields)


def images(config=SMALL, batch=2, channels=3):
  rng = np.random.default_rng(0)
  shape = (batch, *config.image_size, channels)
  return jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)


def noisy_params(model, x):
  """Parameters away from their initial zeros, so that each one matters."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
  rng = np.random.default_rng(1)

  def draw(name, leaf):
    n = rng.standard_normal(leaf.shape).astype(np.float32)
    return name.endswith("scale") + 0.3 * n

  return tree.map_named(draw, shapes)


@functools.cache
def compiled(config, train, attention_weights):
  """Many times faster than op by op."""
  apply = functools.partial(
    vit.Model(config).apply, train=train, attention_weights=attention_weights
  )
  run = lambda p, x, rngs: apply({"params": p}, x, rngs=rngs)  # noqa: E731
  return jax.jit(run, compiler_options=COMPILE_FAST)


def apply(config, params, x, *, train=False, attention_weights=False, key=0):
  rngs = {"dropout": jax.random.key(key)}
  return compiled(config, train, attention_weights)(params, x, rngs)


def outputs(config, **static):
  x = images(config)
  return apply(config, noisy_params(vit.Model(config), x), x, **static)


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
KNOBS = [
  dict(unroll=2),
  dict(remat="dots"),
  dict(unroll=0, remat="full"),
]


def outputs_and_gradients(model, params, x):
  """Everything a training step sees, with dropout drawn from one key."""

  def loss(params):
    out = model.apply(
      {"params": params},
      x,
      train=True,
      attention_weights=True,
      rngs={"dropout": jax.random.key(5)},
    )
    return jnp.square(out["logits"]).sum(), out

  step = jax.value_and_grad(loss, has_aux=True)
  (_, out), grads = jax.jit(step, compiler_options=COMPILE_FAST)(params)
  return out, grads


def test_speed_knobs_change_nothing():
  config = small(**DROPPED, posemb_at="every_layer")
  x = images(config)
  model = vit.Model(config)
  params = noisy_params(model, x)
  out, grads = outputs_and_gradients(model, params, x)
  for knobs in KNOBS:
    other = model.clone(**knobs)
    assert jax.tree.map(np.shape, params) == jax.tree.map(
      np.shape, jax.eval_shape(other.init, jax.random.key(0), x)["params"]
    )
    out2, grads2 = outputs_and_gradients(other, params, x)
    assert sorted(out2) == sorted(out)
    ours = tree.flatten({"out": out, "grads": grads})
    theirs = tree.flatten({"out": out2, "grads": grads2})
    for name in ours:
      # The true gradient of key biases is zero: take the kernel's scale.
      scale = np.abs(ours[name.replace("key/bias", "key/kernel")]).max()
      difference = np.abs(ours[name] - theirs[name]).max()
      assert difference < 1e-5 * scale, (knobs, name)


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


def test_any_number_of_channels():
  x = images(channels=1)
  init = vit.Model(SMALL).init
  params = jax.eval_shape(init, jax.random.key(0), x)["params"]
  assert params["embedding"]["kernel"].shape == (4, 2, 1, 16)


def test_images_that_do_not_fit():
  model = vit.Model(SMALL)
  with pytest.raises(errors.ConfigError, match=r"image_size=\(12, 8\)"):
    model.init(jax.random.key(0), jnp.zeros((1, 8, 12, 3)))
  with pytest.raises(errors.ConfigError, match=r"\[B, h, w, c\]"):
    model.init(jax.random.key(0), jnp.zeros((12, 8, 3)))
  with pytest.raises(TypeError, match="uint8"):
    model.init(jax.random.key(0), jnp.zeros((1, 12, 8, 3), jnp.uint8))


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
  ("B/16", dict(pool="avg"), "pool=avg is not one of: token, gap, map"),
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
