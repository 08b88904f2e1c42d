"""MobileViT: outputs, batch statistics, gradients, configs, devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.models import small_models
from tests.models.small_models import apply, noisy_variables
from vit_jax import models
from vit_jax.core import (
  config as config_lib,
  errors,
  mesh as mesh_lib,
  rng,
  tree,
)
from vit_jax.models import mobilevit
from vit_jax.tasks import supervised
from vit_jax.train import step as step_lib
from vit_jax.train.state import State

# The Transformer's map is 5 x 3: no multiple of its patches.
SMALL = mobilevit.Config(
  num_classes=5,
  image_size=(20, 12),
  stem_width=4,
  widths=(4, 6),
  depths=(1, 2),
  expansion=2,
  transformer_widths=(8,),
  transformer_depths=(1,),
  num_heads=2,
  width=10,
)
X = small_models.images(SMALL.image_size)


def small(**fields):
  return mobilevit.Model(dataclasses.replace(SMALL, **fields))


def test_output_keys_and_shapes():
  model = small()
  out = apply(model, noisy_variables(model, X), X)
  assert {k: v.shape for k, v in out.items()} == {
    "tokens": (2, 15, 10),
    "grid": (2, 5, 3, 10),
    "pre_logits": (2, 10),
    "logits": (2, 5),
  }
  tokens = out["grid"].reshape(2, 15, 10)
  np.testing.assert_array_equal(out["tokens"], tokens)
  np.testing.assert_allclose(out["pre_logits"], tokens.mean(1), rtol=1e-5)


def test_other_sizes_and_channels():
  x = small_models.images((33, 16), channels=1)
  model = small()
  variables = noisy_variables(model, x)
  assert variables["params"]["stem"]["conv"]["kernel"].shape == (3, 3, 1, 4)
  assert apply(model, variables, x)["grid"].shape == (2, 9, 4, 10)


def test_every_statistic_moves():
  model = small()
  variables = noisy_variables(model, X)
  step = small_models.losses_and_gradients(model, variables, X)
  old = tree.flatten({"state": {**variables, "params": {}}})
  moved = [k for k in old if np.abs(step[k] - old[k]).min() > 0]
  assert sorted(moved) == sorted(k for k in step if k.startswith("state/"))
  assert len(moved) == 2 * 14


def test_training_normalises_by_the_batch():
  """An affine change of all images is undone by the first batch norm."""
  model = small()
  variables = noisy_variables(model, X)
  changed = 3.0 * X
  for train, same in [(True, True), (False, False)]:
    a, b = (apply(model, variables, x, train=train) for x in (X, changed))
    error = np.abs(a["logits"] - b["logits"]).max()
    assert (error < 1e-3) == same


def test_microbatches_move_the_statistics_one_after_another():
  model = small()
  x = small_models.images(SMALL.image_size, batch=4)
  task = supervised.Task(supervised.Config(), model, {})
  variables = noisy_variables(model, x)
  stats = {"batch_stats": variables["batch_stats"]}
  tx = optax.sgd(0.1)
  mesh = mesh_lib.make(mesh_lib.MeshShape(), jax.devices()[:1])
  step = step_lib.make(
    task,
    tx,
    lambda step: 0.1,
    lambda *_: {},
    lambda batch: batch,
    mesh,
    microbatches=2,
  )
  state = State(
    step=jnp.zeros((), jnp.int32),
    params=variables["params"],
    opt_state=tx.init(variables["params"]),
    task_state=stats,
    ema={},
    rng=rng.root(0),
  )
  batch = {"image": x, "label": jnp.arange(4)}
  step = jax.jit(step, compiler_options=small_models.COMPILE_FAST)
  found = step(state, batch)[0].task_state
  for rows in (x[0::2], x[1::2]):
    _, stats = small_models.compiled(model, True)(
      {"params": variables["params"], **stats}, rows, jax.random.key(0)
    )
  small_models.assert_close(tree.flatten(found), tree.flatten(stats))


@pytest.mark.parametrize("field", ["dropout", "head_dropout"])
def test_each_rate_has_an_effect_in_training_only(field):
  variables = noisy_variables(small(), X)
  model = small(**{field: 0.5})
  for train, changes in [(True, True), (False, False)]:
    a, b = (apply(m, variables, X, train=train) for m in (model, small()))
    assert (np.abs(a["logits"] - b["logits"]).max() > 1e-3) == changes


def test_initial_parameters():
  model = small(widths=(32, 48), transformer_widths=(64,), head_bias_init=-3.0)
  init = jax.jit(model.init, compiler_options=small_models.COMPILE_FAST)
  variables = init(jax.random.key(0), X)
  flat = tree.flatten(variables)
  deviations = {
    "stage1_residual0/depth/conv/kernel": np.sqrt(2 / 9),
    "stage1_residual0/project/conv/kernel": np.sqrt(2 / 48),
    "stage1_transformer/fuse/conv/kernel": np.sqrt(2 / (9 * 48)),
    "stage1_transformer/block0/mlp/out/kernel": 0.02,
  }
  for name, deviation in deviations.items():
    found = np.std(flat[f"params/{name}"])
    assert abs(found / deviation - 1) < 0.1, name
  for name, leaf in flat.items():
    if name.endswith(("mean", "var")):
      np.testing.assert_array_equal(leaf, float(name.endswith("var")))
  assert not np.asarray(flat["params/head/kernel"]).any()
  np.testing.assert_array_equal(flat["params/head/bias"], -3.0)


BAD = [
  (dict(transformer_widths=(144, 190, 240)), "transformer_widths=(144, 190,"
   " 240) must be multiples of num_heads=4 (190 % 4 = 2); nearest: 188 or 192"),
  (dict(widths=(8, 8)), "widths=(8, 8) and depths=(1, 3, 1, 1, 1) must have"),
  (dict(widths=(), depths=()), "widths=() must be at least 1 in every stage"),
  (dict(widths=(8, 8), depths=(1, 1)), "transformer_widths=(144, 192, 240) has"
   " 3 stages, widths=(8, 8) has 2; give at most one Transformer a stage"),
  (dict(transformer_depths=(2, 4)), "transformer_depths=(2, 4) must be of"),
  (dict(transformer_depths=(2, 0, 3)), "must be at least 1 in every stage"),
  (dict(depths=(1, 3, 0, 1, 1)), "depths=(1, 3, 0, 1, 1) must be at least 1"),
  (dict(stem_width=0), "stem_width=0 must be at least 1"),
  (dict(expansion=0), "expansion=0 must be at least 1"),
  (dict(num_heads=0), "num_heads=0 must be at least 1"),
  (dict(width=-1), "width=-1 must be at least 1"),
  (dict(num_classes=-1), "num_classes=-1 must be at least 0"),
  (dict(image_size=(0, 256)), "image_size=(0, 256) must be at least 1 px"),
  (dict(patch_size=(2, 0)), "patch_size=(2, 0) must be at least 1 px"),
  (dict(mlp_ratio=float("nan")), "mlp_ratio=nan x transformer_widths="),
  (dict(dropout=1.0), "dropout=1.0 must be at least 0 and less than 1"),
  (dict(head_dropout=-0.1), "head_dropout=-0.1 must be at least 0"),
  (dict(head_dropout=0.1, num_classes=0), "head_dropout=0.1 needs a head, but"
   " num_classes=0; use 0"),
  (dict(head_bias_init=1.0, num_classes=0), "head_bias_init=1.0 needs a head"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_wrong_configs(fields, message):
  with pytest.raises(errors.ConfigError) as e:
    mobilevit.Config(**fields)
  assert message in str(e.value)
  assert "{" not in str(e.value)


def test_variants():
  assert mobilevit.variant("S") == mobilevit.Config()
  tiny = mobilevit.variant("XXS", num_classes=7)
  assert (tiny.expansion, tiny.width, tiny.num_classes) == (2, 320, 7)
  assert models.create("mobilevit", "XXS", num_classes=7).config == tiny
  plain = config_lib.to_config_dict(tiny)
  assert config_lib.build(mobilevit.Config, plain) == tiny
  with pytest.raises(errors.ConfigError, match="unknown variant XXXS"):
    mobilevit.variant("XXXS")


def test_images_that_do_not_fit():
  model = small()
  with pytest.raises(errors.ConfigError, match=r"\[B, h, w, c\]"):
    model.init(jax.random.key(0), jnp.zeros((20, 12, 3)))
  with pytest.raises(TypeError, match="uint8"):
    model.init(jax.random.key(0), jnp.zeros((1, 20, 12, 3), jnp.uint8))
