"""Whatever the published optimiser configs can say, ours can say as well."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.invariants import hand_names, published, trajectories
from tests.parity import rule
from vit_jax.core import tree
from vit_jax.optim import base, schedule

STEPS, SIZE = 40, 8
FIXTURE = trajectories.load("train_adam_cosine_sigmoid")


def fixture(**optax_fields):
  """The fixture with another `config.optax`."""
  config = dict(FIXTURE["config"], optax=optax_fields)
  return dict(FIXTURE, config=config, steps=STEPS)


def by_hand(s, warmup, decay, cooldown=0):
  """decay(steps since warm-up, share of the run left) with both ramps."""
  left = 1 - np.clip((s - warmup) / (STEPS - warmup), 0, 1)
  value = decay(np.maximum(s - warmup, 0), left)
  if warmup:
    value = value * np.minimum(1, s / warmup)
  if cooldown:
    value = value * np.minimum(1, (STEPS - s) / cooldown)
  return value


SCHEDULES = {
  "cosine": (
    dict(decay_type="cosine", warmup_epochs=0.1),
    (4, lambda t, left: 0.5 * (1 - np.cos(np.pi * left))),
  ),
  "linear": (
    dict(decay_type="linear", linear_end=0.1, warmup_examples=56),
    (7, lambda t, left: 0.1 + 0.9 * left),
  ),
  "polynomial": (
    dict(decay_type="polynomial", power=2, end=0.05, warmup_percent=0.25),
    (10, lambda t, left: 0.05 + 0.95 * left**2),
  ),
  "rsqrt": (
    dict(decay_type="rsqrt", timescale=10, warmup_steps=5, cooldown_steps=8),
    (5, lambda t, left: (1 + t / 10) ** -0.5, 8),
  ),
  "rsqrt_shifted": (
    dict(
      decay_type="rsqrt", timescale_examples=80, shift=6, cooldown_percent=0.1
    ),
    (0, lambda t, left: (1 + (t + 6) / 10) ** -0.5, 4),
  ),
  "rsqrt_shifted_with_warmup": (
    dict(decay_type="rsqrt", timescale=10, shift=6, warmup_steps=5),
    (5, lambda t, left: (1 + (t + 6) / 10) ** -0.5),
  ),
  "stair": (
    dict(decay_type="stair", steps=[10, 20], mults=[0.1, 0.01]),
    (0, lambda t, left: np.select([t < 10, t < 20], [1, 0.1], 0.01)),
  ),
  "nothing": ({}, (0, lambda t, left: np.ones_like(left))),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_of_big_vision(name):
  theirs, (warmup, *rest) = SCHEDULES[name]
  one = fixture(optax_name="big_vision.sgd", lr=0.5, schedule=theirs)
  optim = published.experiment(one).optim
  make = schedule.make(
    optim.schedule,
    total_steps=STEPS,
    batch_size=SIZE,
    epoch_examples=SIZE * STEPS,
  )
  s = np.arange(STEPS + 1)
  want = by_hand(s, warmup, *rest)
  np.testing.assert_allclose(jax.vmap(make)(s), want, atol=1e-6)


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_schedules_of_vision_transformer(decay):
  theirs = trajectories.load("train_sgd_finetune")
  optim = dict(theirs["config"]["optim"], decay=decay, linear_end=3e-3)
  theirs["config"] = dict(theirs["config"], optim=optim)
  ours = published.experiment(theirs).optim
  assert ours.schedule.decay == decay
  assert ours.schedule.end_value == (0.1 if decay == "linear" else 0.0)


def updates(optim, params, grads):
  """Ours, by their names."""
  tx = base.make(optim, lambda s: 1.0, params, stacked="blocks/")
  got, _ = tx.update(grads, tx.init(params), params)
  return got


def test_masks_multipliers_and_frozen_parameters():
  """Plain SGD by hand: clip by what is trained, scale, decay, freeze."""
  one = fixture(
    optax_name="big_vision.sgd",
    lr=0.5,
    wd=0.25,
    grad_clip_norm=2.0,
    wd_mults=[["Transformer/.*/kernel$", 2.0], [".*/kernel$", 1.0]],
    lr_mults=[["Transformer/encoderblock_1/.*", 0.1], ["head/.*", 3.0]],
    schedule=[
      ["embedding/.*", None],
      ["Transformer/encoderblock_0/MlpBlock_0/.*", None],
      [".*", {"scale_with_batchsize": True}],
    ],
  )
  params = rule.params(one)
  grads = {name: rule.draw(name, p.shape) for name, p in params.items()}
  trained = [
    name
    for name in params
    if not name.startswith(
      ("embedding/", "Transformer/encoderblock_0/MlpBlock_0/")
    )
  ]
  norm = np.sqrt(sum((grads[name] ** 2).sum() for name in trained))
  want = {}
  for name, p in params.items():
    rate = 0.5 * (0.1 if "encoderblock_1" in name else 1)
    rate *= 3.0 if name.startswith("head") else 1
    decay = 0.25 * (2.0 if name.startswith("Transformer/") else 1)
    decay *= name.endswith("/kernel")
    by_batch = SIZE / 256 * (name in trained)
    want[name] = -by_batch * (rate * grads[name] * 2.0 / norm + decay * p)
  optim = published.experiment(one).optim
  got = tree.flatten(
    updates(optim, hand_names.our_tree(params), hand_names.our_tree(grads))
  )
  for name, value in tree.flatten(hand_names.our_tree(want)).items():
    np.testing.assert_allclose(got[name], value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
  ("theirs", "chain"),
  [
    (
      ("scale_by_adam", dict(b1=0.8, b2=0.95, eps=1e-6)),
      optax.scale_by_adam(b1=0.8, b2=0.95, eps=1e-6),
    ),
    (
      ("big_vision.momentum_hp", dict(momentum=0.8, nesterov=True)),
      optax.trace(0.8, nesterov=True, accumulator_dtype=jnp.bfloat16),
    ),
    (("trace", dict(decay=0.5)), optax.trace(0.5)),
    (("identity", {}), optax.identity()),
    (
      (
        "big_vision.scale_by_adafactor",
        dict(
          momentum=0.7,
          dtype_momentum="float32",
          beta2_cap=0.5,
          clipping_threshold=0.5,
          eps=1e-20,
          decay_rate=0.6,
          min_dim_size_to_factor=64,
        ),
      ),
      optax.chain(
        optax.scale_by_factored_rms(
          decay_rate=0.6,
          min_dim_size_to_factor=64,
          epsilon=1e-20,
          decay_rate_fn=lambda i, c: jnp.minimum(0.5, 1.0 - (i + 1.0) ** -c),
        ),
        optax.clip_by_block_rms(0.5),
        optax.ema(0.7, debias=False),
      ),
    ),
  ],
  ids=lambda value: value[0] if isinstance(value[0], str) else "",
)
def test_optimisers_of_big_vision(theirs, chain):
  """Three steps, against optax's parts on one matrix and one vector."""
  name, fields = theirs
  schedules = {"decay_type": "stair"}
  one = fixture(optax_name=name, optax=fields, lr=0.5, schedule=schedules)
  optim = published.experiment(one).optim
  params = {"w": jnp.ones((64, 80)), "b": jnp.ones(80)}
  tx = base.make(optim, lambda s: 1.0, params, stacked="")
  state, theirs_state = tx.init(params), chain.init(params)
  for step in range(3):
    grads = {
      k: jnp.asarray(rule.draw(f"{k}{step}", p.shape))
      for k, p in params.items()
    }
    got, state = tx.update(grads, state, params)
    want, theirs_state = chain.update(grads, theirs_state, params)
    for k, value in want.items():
      np.testing.assert_allclose(got[k], -0.5 * value, rtol=1e-5, err_msg=k)


def test_what_has_no_translation_is_refused():
  sgd = dict(optax_name="big_vision.sgd", lr=0.5)
  with pytest.raises(AssertionError, match="without a translation"):
    published.experiment(fixture(**sgd, schedule={"sgdr": 1}))
  with pytest.raises(ValueError, match="too many values"):
    two = [["head/.*", {}], [".*", {"decay_type": "cosine"}]]
    published.experiment(fixture(**sgd, schedule=two))
