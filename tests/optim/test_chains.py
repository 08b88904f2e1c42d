"""Chains of every optimiser against steps computed by hand in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vit_jax.core import config as config_lib, errors, parts, tree
from vit_jax.optim import adafactor, adamw, base, ema, schedule, sgd

RATES = (0.5, 1.0, 0.25)
LR = 0.1


def _rate(step):
  return jnp.asarray(RATES, jnp.float32)[step]


def _draw(seed):
  rng = np.random.default_rng(seed)
  shapes = {
    "blocks/mlp/kernel": (3, 4, 5),
    "blocks/mlp/bias": (3, 5),
    "head/kernel": (5, 2),
    "head/bias": (2,),
  }
  return {k: rng.standard_normal(shape) for k, shape in shapes.items()}


def _tree(flat):
  return tree.unflatten(
    {k: jnp.asarray(v, jnp.float32) for k, v in flat.items()}
  )


def _run(config, stacked="blocks/"):
  """Parameters before and after three steps, by name."""
  params = _tree(_draw(0))
  tx = base.make(config, _rate, params, stacked=stacked)
  state = tx.init(params)
  for step in range(3):
    updates, state = jax.jit(tx.update)(_tree(_draw(1 + step)), state, params)
    params = optax.apply_updates(params, updates)
  return {k: np.asarray(v) for k, v in tree.flatten(params).items()}


def _agree(got, want):
  for name in want:
    np.testing.assert_allclose(got[name], want[name], atol=2e-6, err_msg=name)


def _by_hand(rule, decay=0.0, clip=0.0):
  """Steps of `rule(state, gradient, t) -> update` for each parameter."""
  params = _draw(0)
  states = {name: {} for name in params}
  for t, rate in enumerate(RATES, 1):
    grads = _draw(t)
    norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
    scale = min(1, clip / norm) if clip else 1
    for name, p in params.items():
      update = LR * rule(states[name], scale * grads[name], t)
      if name.endswith("/kernel"):
        update = update + decay * p
      params[name] = p - rate * update
  return params


def _adam(state, g, t):
  state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
  state["v"] = 0.95 * state.get("v", 0) + 0.05 * g**2
  m, v = state["m"] / (1 - 0.9**t), state["v"] / (1 - 0.95**t)
  return m / (np.sqrt(v) + 1e-3)


def _momentum(state, g, t):
  del t
  state["m"] = 0.9 * state.get("m", 0) + g
  return state["m"]


def _nesterov(state, g, t):
  return g + 0.9 * _momentum(state, g, t)


def test_adamw_with_both_decays_and_clipping():
  shared = {"peak_lr": LR, "b2": 0.95, "eps": 1e-3, "clip_norm": 2.0}
  got = _run(adamw.Config(weight_decay=0.3, **shared))
  _agree(got, _by_hand(_adam, decay=0.3 * LR, clip=2.0))
  got = _run(
    adamw.Config(weight_decay=0.3, weight_decay_scaling="schedule", **shared)
  )
  _agree(got, _by_hand(_adam, decay=0.3, clip=2.0))


def test_a_norm_below_the_limit_is_not_clipped():
  _agree(_run(sgd.Config(peak_lr=LR, clip_norm=1e3)), _by_hand(_momentum))


def test_sgd():
  got = _run(sgd.Config(peak_lr=LR, weight_decay=0.3))
  _agree(got, _by_hand(_momentum, decay=0.3 * LR))
  got = _run(sgd.Config(peak_lr=LR, nesterov=True))
  _agree(got, _by_hand(_nesterov))
  got = _run(sgd.Config(peak_lr=LR, momentum=0.0))
  _agree(got, _by_hand(lambda state, g, t: g))


@pytest.mark.parametrize(
  ("config", "count"),
  [
    (adamw.Config(mu_dtype="bfloat16"), 4),
    (adamw.Config(), 0),
    (sgd.Config(accumulator_dtype="bfloat16"), 4),
    (sgd.Config(), 0),
    (adafactor.Config(), 4),
    (adafactor.Config(mu_dtype="float32"), 0),
    (adafactor.Config(b1=0.0), 0),
  ],
)
def test_moments_have_the_asked_dtype(config, count):
  params = _tree(_draw(0))
  tx = base.make(config, _rate, params, stacked="blocks/")
  state = tx.init(params)
  _, state = tx.update(params, state, params)
  dtypes = [leaf.dtype for leaf in jax.tree.leaves(state)]
  assert dtypes.count(jnp.bfloat16) == count


def test_the_decay_mask_is_the_config_s():
  plain = sgd.Config(peak_lr=LR)
  decayed = sgd.Config(
    peak_lr=LR, weight_decay=0.3, weight_decay_mask=("head/.*", "blocks/1/.*")
  )
  one, two = _run(plain), _run(decayed)
  for name in ("head/kernel", "head/bias"):
    assert (one[name] != two[name]).all()
  for name in ("blocks/mlp/kernel", "blocks/mlp/bias"):
    assert (one[name][1] != two[name][1]).all()
    np.testing.assert_array_equal(one[name][[0, 2]], two[name][[0, 2]])


def test_decay_multipliers_by_first_match_down_to_single_layers():
  config = sgd.Config(
    peak_lr=LR,
    momentum=0.0,
    weight_decay=0.3,
    weight_decay_multipliers=(("blocks/0/.*", 0.1), ("blocks/.*kernel", 2.0)),
  )
  got, name = _run(config), "blocks/mlp/kernel"
  for layer, factor in enumerate((0.1, 2.0, 2.0)):
    want = _by_hand(lambda state, g, t: g, decay=0.3 * LR * factor)
    np.testing.assert_allclose(got[name][layer], want[name][layer], atol=2e-6)
  want = _by_hand(lambda state, g, t: g, decay=0.3 * LR)
  _agree(
    {k: got[k] for k in got if k != name},
    {k: want[k] for k in want if k != name},
  )


def test_multipliers_by_first_match_down_to_single_layers():
  config = sgd.Config(
    peak_lr=LR,
    momentum=0.0,
    lr_multipliers=(("blocks/0/.*", 0.1), ("blocks/.*kernel", 0.5)),
  )
  got, before = _run(config), _draw(0)
  want = _by_hand(lambda state, g, t: g)
  scale = np.asarray([0.1, 0.5, 0.5]).reshape(3, 1, 1)
  name = "blocks/mlp/kernel"
  want[name] = before[name] + scale * (want[name] - before[name])
  name = "blocks/mlp/bias"
  scale = np.asarray([0.1, 1.0, 1.0]).reshape(3, 1)
  want[name] = before[name] + scale * (want[name] - before[name])
  _agree(got, want)


@pytest.mark.parametrize(
  ("scaling", "power"), [("learning_rate", 1), ("schedule", 0)]
)
def test_multipliers_are_part_of_the_learning_rate(scaling, power):
  config = sgd.Config(
    peak_lr=LR,
    weight_decay=0.3,
    weight_decay_scaling=scaling,
    lr_multipliers=(("head/kernel", 0.5),),
  )
  params = _tree(_draw(0))
  tx = base.make(config, _rate, params, stacked="")
  zeros = jax.tree.map(jnp.zeros_like, params)
  updates, _ = tx.update(zeros, tx.init(params), params)
  factor = RATES[0] * 0.3 * (LR * 0.5) ** power
  np.testing.assert_allclose(
    updates["head"]["kernel"], -factor * params["head"]["kernel"], rtol=1e-6
  )


@pytest.mark.parametrize(
  "kind",
  [adamw.Config, sgd.Config, adafactor.Config],
  ids=lambda k: k.__module__,
)
def test_frozen_parameters_and_layers_stay_bit_identical(kind):
  config = kind(
    weight_decay=0.3, clip_norm=1.0, frozen=("head/bias", "blocks/0/.*")
  )
  before = {k: v.astype(np.float32) for k, v in _draw(0).items()}
  got = _run(config)
  np.testing.assert_array_equal(got["head/bias"], before["head/bias"])
  assert (got["head/kernel"] != before["head/kernel"]).all()
  for name in ("blocks/mlp/kernel", "blocks/mlp/bias"):
    np.testing.assert_array_equal(got[name][0], before[name][0])
    assert (got[name][1:] != before[name][1:]).all()


def test_a_frozen_negative_zero_stays_negative():
  params = {"a": jnp.asarray([-0.0, 0.0]), "b": jnp.ones(2)}
  config = sgd.Config(frozen=("a",))
  tx = base.make(config, _rate, params, stacked="")
  updates, _ = tx.update(params, tx.init(params), params)
  new = optax.apply_updates(params, updates)
  np.testing.assert_array_equal(np.signbit(new["a"]), [True, False])


def test_frozen_gradients_do_not_count_when_clipping():
  config = sgd.Config(
    peak_lr=1.0, momentum=0.0, clip_norm=1.0, frozen=("a", "blocks/1/w")
  )
  params = {
    "a": jnp.ones(2),
    "b": jnp.ones(2),
    "blocks": {"w": jnp.ones([2, 1])},
  }
  grads = {
    "a": jnp.full(2, np.nan),
    "b": jnp.asarray([2.0, 0.0]),
    "blocks": {"w": jnp.asarray([[0.0], [np.inf]])},
  }
  tx = base.make(config, lambda _: 1.0, params, stacked="blocks/")
  updates, _ = tx.update(grads, tx.init(params), params)
  np.testing.assert_allclose(updates["b"], [-1.0, 0.0])
  np.testing.assert_array_equal(updates["a"], [0.0, 0.0])


def test_what_is_frozen_has_no_moments():
  params = _tree(_draw(0))
  config = adamw.Config(frozen=("head/.*",))
  tx = base.make(config, _rate, params, stacked="blocks/")
  shapes = [leaf.shape for leaf in jax.tree.leaves(tx.init(params))]
  assert shapes.count((3, 4, 5)) == 2
  assert (5, 2) not in shapes


@pytest.mark.parametrize(
  ("kind", "fields", "says"),
  [
    (adamw, {"peak_lr": 0.0}, "optim.peak_lr=0.0 must be positive"),
    (adamw, {"peak_lr": float("inf")}, "peak_lr=inf"),
    (adamw, {"clip_norm": -1.0}, "clip_norm=-1.0 must be positive, or 0"),
    (adamw, {"clip_norm": float("nan")}, "clip_norm=nan"),
    (adamw, {"weight_decay": -0.1}, "weight_decay=-0.1"),
    (adamw, {"weight_decay": 0.1, "weight_decay_mask": ()}, "weight_decay=0"),
    (adamw, {"layer_decay": 0.0}, "optim.layer_decay=0.0 must be above 0"),
    (adamw, {"layer_decay": 1.5}, "optim.layer_decay=1.5 must be above 0"),
    (adamw, {"lr_multipliers": (("head/.*", 0.0),)}, "name them in frozen"),
    (
      adamw,
      {"weight_decay": 0.1, "weight_decay_multipliers": (("head/.*", 0.0),)},
      "leave parameters out of weight_decay_mask",
    ),
    (
      adamw,
      {"weight_decay_multipliers": (("head/.*", 2.0),)},
      "have no effect with optim.weight_decay=0.0",
    ),
    (adamw, {"frozen": ("(",)}, "optim.frozen=('(',): '(' is not a regex"),
    (adamw, {"frozen": ("heads/.*",)}, "'heads/.*' matches none of"),
    (adamw, {"frozen": (".*",)}, "optim.frozen matches every parameter"),
    (adamw, {"frozen": ("blocks/3/.*",)}, "'blocks/3/.*' matches none of"),
    (
      adamw,
      {"lr_multipliers": ((".*", 2.0), ("head/.*", 3.0))},
      "optim.lr_multipliers=(('.*', 2.0), ('head/.*', 3.0)): the pattern",
    ),
    (
      adamw,
      {"weight_decay": 0.1, "weight_decay_mask": (".*/weight",)},
      "optim.weight_decay_mask=('.*/weight',): the pattern '.*/weight'",
    ),
    (adamw, {"b1": 1.0}, "b1=1.0"),
    (adamw, {"b2": -0.1}, "b2=-0.1"),
    (adamw, {"eps": 0.0}, "eps=0.0"),
    (sgd, {"momentum": 1.0}, "momentum=1.0"),
    (sgd, {"momentum": 0.0, "nesterov": True}, "nesterov=True has no effect"),
    (
      sgd,
      {"momentum": 0.0, "accumulator_dtype": "bfloat16"},
      "has no effect with optim.momentum=0.0",
    ),
    (adafactor, {"b1": 1.0}, "b1=1.0"),
    (adafactor, {"b1": 0.0, "mu_dtype": "float32"}, "no effect with optim.b1"),
    (adafactor, {"decay_rate": 0.0}, "decay_rate=0.0"),
    (adafactor, {"b2_cap": 1.0}, "b2_cap=1.0"),
    (adafactor, {"eps": 0.0}, "eps=0.0"),
    (adafactor, {"min_factored_dim": 0}, "min_factored_dim=0"),
    (adafactor, {"clip_rms": -1.0}, "clip_rms=-1.0"),
  ],
)
def test_what_cannot_be_meant_is_an_error(kind, fields, says):
  with pytest.raises(errors.ConfigError) as e:
    _run(kind.Config(**fields))
  assert says in str(e.value.under("optim"))


def test_a_bad_regex_is_refused_before_there_are_parameters():
  with pytest.raises(errors.ConfigError, match="is not a regex"):
    adamw.Config(frozen=("(",))


def test_plain_sgd_stores_nothing_but_the_step():
  params = _tree(_draw(0))
  tx = base.make(sgd.Config(momentum=0.0), _rate, params, stacked="")
  assert [leaf.shape for leaf in jax.tree.leaves(tx.init(params))] == [()]


@pytest.mark.parametrize("name", ["adamw", "sgd", "adafactor"])
def test_optimisers_are_components_of_a_config(name):
  module = parts.find("vit_jax.optim", name)
  ours = module.Config(
    peak_lr=0.2,
    schedule=schedule.Schedule(decay="linear"),
    lr_multipliers=(("head/.*", 2.0),),
    average=ema.Average(kind="polyak"),
  )
  flat = config_lib.to_config_dict(ours)
  assert config_lib.build(module.Config, flat) == ours


def test_only_optimisers_are_components():
  for name in ("base", "ema", "layers", "schedule"):
    with pytest.raises(errors.ConfigError, match="adafactor, adamw, sgd"):
      parts.find("vit_jax.optim", name)
