"""Masked patch prediction: its draws, its targets and its loss by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models
from tests.models.test_swin import SMALL as SWIN
from vit_jax.core import config as config_lib, errors, tree
from vit_jax.models import hybrid, vit
from vit_jax.tasks import base, masked_patch
from vit_jax.train.experiment import Experiment

SIZE, PATCH = (12, 20), (4, 4)
TOKENS = dict(num_classes=0, width=16, depth=1, num_heads=2, mlp_dim=32)
VIT = vit.Config(image_size=SIZE, patch_size=PATCH, **TOKENS)
N = 15
TARGETS = {"mean_colour": (1, 512), "small_patch": (16, 512), "pixels": 48}


def task(model=VIT, **fields):
  return masked_patch.Task(masked_patch.Config(**fields), vit.Model(model), {})


def images(batch, channels=3):
  rng = np.random.default_rng(3)
  shape = (batch, *SIZE, channels)
  return jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)


def loss_of(t):
  """(params, state, batch, key) -> loss and what is beside it, compiled."""

  def loss(params, state, batch, key):
    variables = base.Variables(params=params, ema={}, task_state=state)
    return t.loss(variables, batch, key, jnp.int32(0))

  return loss


def experiment(model, **fields):
  """A valid experiment, if the model and the objective fit each other."""
  return Experiment(model=model, task=masked_patch.Config(**fields))


jit = functools.partial(jax.jit, compiler_options=small_models.COMPILE_FAST)


def begun(t, x):
  """Parameters away from their zeros."""
  params, state = jax.eval_shape(t.init, jax.random.key(0), x)
  rng = np.random.default_rng(4)
  params = tree.map_named(
    lambda name, leaf: jnp.asarray(
      name.endswith("scale") + 0.3 * rng.standard_normal(leaf.shape),
      jnp.float32,
    ),
    params,
  )
  return params, state


@pytest.mark.parametrize(
  ("fields", "patches", "counts"),
  [
    ({}, 196, (98, 78, 10)),
    ({}, 49, (25, 20, 3)),
    ({}, 16, (8, 6, 1)),
    (dict(corrupted=0.15), 196, (29, 23, 3)),
    # A half, which in binary is a little less.
    (dict(corrupted=0.145, masked=1.0, swapped=0.0), 100, (15, 15, 0)),
    (dict(corrupted=1.0, masked=0.5, swapped=0.5), 3, (3, 2, 1)),
  ],
)
def test_counts_are_rounded_half_up(fields, patches, counts):
  assert masked_patch.Config(**fields).counts(patches) == counts


@pytest.fixture(scope="module")
def drawn():
  """What is corrupted in 3,000 images, with every share well above one."""
  t = task(corrupted=0.6, masked=0.4, swapped=0.4)
  batch = {"image": images(3000)}
  augment = jit(t.augment)
  return t, jax.device_get(augment(batch, jax.random.key(1)))


def test_every_image_has_the_exact_counts(drawn):
  t, batch = drawn
  assert t.counts == (9, 4, 4)
  chosen = np.zeros((3000, N), bool)
  np.put_along_axis(chosen, batch["chosen"], True, axis=1)
  swapped = batch["source"] != np.arange(N)
  masked = batch["masked"]
  assert (chosen.sum(axis=1) == 9).all()
  assert (masked.sum(axis=1) == 4).all()
  assert (swapped.sum(axis=1) == 4).all()
  assert not (swapped & masked).any()
  assert (chosen | ~(swapped | masked)).all()


def test_every_patch_is_as_likely(drawn):
  """Each count is within five standard deviations."""
  _, batch = drawn
  for found, p in (
    (np.bincount(batch["chosen"].ravel(), minlength=N), 9 / N),
    (batch["masked"].sum(axis=0), 4 / N),
  ):
    assert np.abs(found - 3000 * p).max() < 5 * np.sqrt(3000 * p * (1 - p))
  at = np.broadcast_to(np.arange(N), batch["source"].shape)
  pairs = np.zeros((N, N))
  np.add.at(pairs, (at, batch["source"]), batch["source"] != at)
  others = pairs[~np.eye(N, dtype=bool)]
  mean = 3000 * 4 / N / (N - 1)
  assert np.abs(others - mean).max() < 5 * np.sqrt(mean)


def test_images_and_steps_differ():
  t, batch = task(), {"image": images(2)}
  first, other = (jit(t.augment)(batch, jax.random.key(i)) for i in (1, 2))
  assert not np.array_equal(first["masked"][0], first["masked"][1])
  assert not np.array_equal(first["masked"], other["masked"])


def by_hand(t, params, batch, x):
  """The loss in float64 after the encoder, which is given what it is to see."""
  config = t.config
  of_model = {"params": {k: params[k] for k in params if k != "task"}}

  @jit
  def embed(x):
    return t.model.apply(of_model, x, method="embed")

  @jit
  def encode(seen):
    placed = t.model.apply(of_model, seen, method="add_positions")
    tokens, _ = t.model.apply(of_model, placed, method="encode")
    return tokens[:, -N:].reshape(len(seen), 3, 5, -1)

  embedded = embed(x)
  seen = np.array(embedded)
  own = jax.tree.map(lambda a: np.asarray(a, np.float64), params["task"])
  pixels, losses = np.asarray(x, np.float64), []
  for b, i in np.ndindex(seen.shape[:2]):
    if batch["masked"][b, i]:
      seen[b, i] = own["mask"].ravel()
    elif batch["source"][b, i] != i:
      seen[b, i] = embedded[b, batch["source"][b, i]]
  grid = np.asarray(encode(seen))
  for b, chosen in enumerate(batch["chosen"]):
    for i in chosen:
      row, column = divmod(int(i), SIZE[1] // 4)
      token = grid[b, row, column].astype(np.float64)
      out = token @ own["prediction"]["kernel"] + own["prediction"]["bias"]
      patch = pixels[b, 4 * row :, 4 * column :][:4, :4]
      if config.target == "pixels":
        losses.append(np.mean((out - patch.ravel()) ** 2))
        continue
      side, classes = TARGETS[config.target]
      side = round(side**0.5)
      cells = [
        patch[4 // side * r :, 4 // side * c :][: 4 // side, : 4 // side]
        for r, c in np.ndindex(side, side)
      ]
      for cell, logits in zip(cells, out.reshape(-1, classes), strict=True):
        levels = np.floor((cell.mean(axis=(0, 1)) + 1) / 2 * 8).astype(int)
        k = levels @ [64, 8, 1]
        losses.append(np.log(np.exp(logits).sum()) - logits[k])
  return np.mean(losses)


@pytest.mark.parametrize("target", TARGETS)
def test_loss_equals_float64(target):
  t = task(target=target, corrupted=0.6, masked=0.4, swapped=0.3)
  assert t.counts == (9, 4, 3)
  x = images(3)
  params, state = begun(t, x)
  batch = jit(t.augment)({"image": x}, jax.random.key(2))
  found, aux = jit(loss_of(t))(params, state, batch, jax.random.key(3))
  assert aux.state == state == {}
  expected = by_hand(t, params, jax.device_get(batch), x)
  np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_uncorrupted_patches_get_no_loss():
  """Where no block mixes patches, no pixel of theirs has a gradient."""
  t = task(target="pixels", masked=0.4, swapped=0.4)
  x = images(4)
  params, state = begun(t, x)
  params["blocks"] = jax.tree.map(jnp.zeros_like, params["blocks"])
  batch = jit(t.augment)({"image": x}, jax.random.key(5))

  def loss(image):
    seen = {**batch, "image": image}
    return loss_of(t)(params, state, seen, jax.random.key(0))[0]

  compiled = jit(jax.grad(loss))
  grads = np.abs(compiled(x)).reshape(4, 3, 4, 5, 4, 3)
  found = grads.max(axis=(2, 4, 5)).reshape(4, N) > 0
  expected = np.zeros((4, N), bool)
  for b in range(4):
    for i in batch["chosen"][b]:
      if not batch["masked"][b, i]:
        expected[b, batch["source"][b, i]] = True
  np.testing.assert_array_equal(found, expected)
  # And no pixel of theirs is part of a target.
  other = jnp.where(jnp.asarray(chosen_pixels(batch["chosen"])), x, -x)
  again = jit(t.augment)({"image": other}, jax.random.key(5))
  np.testing.assert_array_equal(again["target"], batch["target"])


def chosen_pixels(chosen):
  of = np.zeros((len(chosen), N), bool)
  np.put_along_axis(of, np.asarray(chosen), True, axis=1)
  of = of.reshape(-1, 3, 1, 5, 1, 1)
  return np.broadcast_to(of, (*of.shape[:2], 4, 5, 4, 3)).reshape(-1, *SIZE, 3)


def test_first_parameters():
  """The encoder's are those of other tasks; each colour is as likely."""
  t, x = task(), images(2, channels=1)
  params, state = jit(t.init)(jax.random.key(7), x)
  own = params.pop("task")
  assert set(tree.flatten(own)) == {
    *("mask", "prediction/kernel", "prediction/bias")
  }
  assert 0.005 < own["mask"].std() < 0.04
  expected = jit(vit.Model(VIT).init)(jax.random.key(7), x)["params"]
  for name, value in tree.flatten(expected).items():
    np.testing.assert_array_equal(tree.flatten(params)[name], value)
  batch = jit(t.augment)({"image": x}, jax.random.key(0))
  params = {**params, "task": own}
  loss, aux = jit(loss_of(t))(params, state, batch, jax.random.key(0))
  np.testing.assert_allclose(loss, np.log(8), rtol=1e-6)
  # All logits are 0, so the first class is what is predicted.
  hits, count = aux.metrics["accuracy"]
  assert (hits, count) == ((batch["target"] == 0).sum(), batch["target"].size)


def test_gradient_reaches_every_parameter_of_a_hybrid():
  model = hybrid.Config(
    image_size=(16, 16),
    patch_size=(1, 1),
    resnet_depths=(),
    resnet_width_factor=0.5,
    **TOKENS,
  )
  t = masked_patch.Task(masked_patch.Config(), hybrid.Model(model), {})
  x = jnp.ones((2, 16, 16, 3)) * images(2)[:, :1, :16]
  params, state = begun(t, x)
  batch = jit(t.augment)({"image": x}, jax.random.key(2))
  grad = jit(jax.grad(loss_of(t), has_aux=True))
  grads, _ = grad(params, state, batch, jax.random.key(3))
  # A softmax does not see the keys' biases.
  for name, g in tree.flatten(grads).items():
    assert name.endswith("key/bias") or np.abs(g).max() > 1e-7, name


@pytest.mark.parametrize(
  ("fields", "says"),
  [
    (dict(corrupted=1.5), "corrupted=1.5 must be in"),
    (dict(masked=-0.1), "masked=-0.1 must be in"),
    (dict(masked=0.8, swapped=0.3), r"their sum 1\.1 must be at most 1"),
    (dict(bits=0), "bits=0 must be in"),
    (dict(value_range=(1.0, -1.0)), "must be .black, white., rising"),
  ],
)
def test_config_errors(fields, says):
  with pytest.raises(errors.ConfigError, match=says):
    masked_patch.Config(**fields)


@pytest.mark.parametrize(
  ("preprocess", "right"),
  [
    ("decode|value_range(-1, 1)", True),
    ("decode|value_range(0, 1)", False),
    ("decode|normalise((0.5,), (0.5,))", False),
  ],
)
def test_colours_are_those_of_the_preprocessing(preprocess, right):
  """Else every colour would be another one than its class says."""
  c = config_lib.to_config_dict(experiment(VIT))
  c.data.train.preprocess = preprocess
  if right:
    config_lib.build(Experiment, c)
    return
  says = r"task.value_range=\(-1.0, 1.0\) is not what .* give both the same"
  with pytest.raises(errors.ConfigError, match=says):
    config_lib.build(Experiment, c)


def test_shares_may_sum_to_one():
  masked_patch.Config(masked=0.7, swapped=0.3)


@pytest.mark.parametrize(
  ("model", "fields", "says"),
  [
    (dict(patch_size=(6, 4), image_size=(12, 12)), {}, ""),
    (
      dict(patch_size=(6, 4), image_size=(12, 12)),
      dict(target="small_patch"),
      r"4 x 4 colours each \(12 % 8 = 4\); nearest: 8 or 16",
    ),
    ({}, dict(corrupted=0.01), "corrupted=0.01 of 15 patches is 0"),
    (dict(image_size=(4, 4)), {}, "of 1 patches is 1; at least one of two"),
  ],
)
def test_patches_that_do_not_fit(model, fields, says):
  config = vit.Config(**{**vars(VIT), **model})
  if not says:
    experiment(config, **fields)
    return
  with pytest.raises(errors.ConfigError, match=says):
    experiment(config, **fields)


def test_models_that_do_not_fit():
  with pytest.raises(errors.ConfigError, match=r"model.name=swin .* use vit"):
    experiment(SWIN)
  with pytest.raises(errors.ConfigError, match=r"num_classes=10; use 0"):
    experiment(dataclasses.replace(VIT, num_classes=10))
