import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.core import config, errors
from vit_jax.core.duration import Duration
from vit_jax.optim import schedule

FIXTURE = pathlib.Path(__file__).parent / "fixtures" / "schedules.json"
STEPS = np.arange(31)


def _parse(fields):
  lengths = ("warmup", "cooldown", "timescale", "shift")
  return {
    k: Duration.parse(v) if k in lengths else v for k, v in fields.items()
  }


def _values(total=30, **fields):
  f = schedule.make(
    schedule.Schedule(**_parse(fields)),
    total_steps=total,
    batch_size=8,
    epoch_examples=80,
  )
  return np.asarray(jax.jit(jax.vmap(f))(jnp.arange(total + 1)), np.float64)


@pytest.mark.parametrize(
  ("decay", "end"), [("cosine", 0.0), ("linear", 1e-5 / 0.03)]
)
def test_is_the_published_fine_tuning_schedule(decay, end):
  theirs = np.asarray(json.loads(FIXTURE.read_text())[decay])
  ours = 0.03 * _values(decay=decay, warmup="4 steps", end_value=end)
  # Both are float32 sums that cancel, hence errors relative to the peak.
  np.testing.assert_allclose(ours[:30], theirs, rtol=0, atol=5e-9)


def test_cosine_ends_at_its_end_value():
  got = _values(decay="cosine", end_value=0.25)
  want = 0.25 + 0.75 * 0.5 * (1 + np.cos(np.pi * STEPS / 30))
  np.testing.assert_allclose(got, want, atol=1e-6)
  assert got[-1] == 0.25


def test_warmup_rises_from_its_start():
  got = _values(decay="constant", warmup="10 steps", warmup_start=0.1)
  want = np.interp(STEPS, [0, 10], [0.1, 1.0])
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_linear_to_a_power_is_a_polynomial():
  got = _values(decay="linear", end_value=0.25, power=2.0)
  np.testing.assert_allclose(
    got, 0.25 + 0.75 * (1 - STEPS / 30) ** 2, atol=1e-6
  )


def test_rsqrt_with_a_shift_starts_down_the_curve():
  got = _values(decay="rsqrt", timescale="10 steps", shift="1 epochs")
  np.testing.assert_allclose(got, 1 / np.sqrt(1 + (STEPS + 10) / 10), atol=1e-6)


def test_rsqrt_with_warmup_and_cooldown():
  got = _values(
    decay="rsqrt", warmup="5 steps", timescale="10 steps", cooldown="10 %"
  )
  want = 1 / np.sqrt(1 + np.maximum(STEPS - 5, 0) / 10)
  want = want * np.minimum(1, STEPS / 5) * np.minimum(1, (30 - STEPS) / 3)
  np.testing.assert_allclose(got, want, atol=1e-6)


def test_constant_with_warmup_and_cooldown_in_epochs_and_examples():
  got = _values(decay="constant", warmup="1 epochs", cooldown="40 examples")
  want = np.minimum(1, STEPS / 10) * np.minimum(1, (30 - STEPS) / 5)
  np.testing.assert_allclose(got, want, atol=1e-6)


def test_stairs_take_effect_at_their_start():
  got = _values(decay="stairs", stairs=(("1 epochs", 0.1), ("20 steps", 0.01)))
  want = np.select([STEPS < 10, STEPS < 20], [1.0, 0.1], 0.01)
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_after_the_run_it_stays_at_the_end():
  f = schedule.make(
    schedule.Schedule(decay="constant", cooldown=Duration(5, "steps")),
    total_steps=10,
    batch_size=1,
    epoch_examples=1,
  )
  assert f(12) == 0.0
  assert f(12).dtype == jnp.float32


@pytest.mark.parametrize(
  ("fields", "says"),
  [
    ({"timescale": "5 steps"}, "optim.timescale=5 steps has no effect with"),
    ({"decay": "rsqrt", "end_value": 0.1}, "only with cosine and linear"),
    ({"decay": "cosine", "power": 2.0}, "only with linear"),
    ({"decay": "linear", "power": 0.0}, "must be positive (1 is a line)"),
    ({"decay": "linear", "shift": "5 steps"}, "only with rsqrt"),
    ({"decay": "constant", "end_value": 0.1}, "optim.decay=constant"),
    ({"stairs": (("1 steps", 0.1),)}, "only with stairs"),
    ({"decay": "stairs"}, "is empty"),
    ({"decay": "stairs", "stairs": (("1 stepz", 0.1),)}, "did you mean steps"),
    ({"decay": "stairs", "stairs": (("1 steps", 0.0),)}, "must be positive"),
    ({"end_value": 1.5}, "fraction of peak_lr"),
    ({"end_value": float("nan")}, "fraction of peak_lr"),
    ({"decay": "rsqrt", "timescale": "0 steps"}, "must be positive"),
    ({"warmup": "30 steps"}, "30 + 0 = 30 of 30 steps"),
    ({"warmup_start": 0.1}, "has no effect with optim.warmup=0 steps"),
    ({"warmup": "5 steps", "warmup_start": 1.0}, "below 1"),
    ({"warmup": "20 steps", "cooldown": "11 steps"}, "20 + 11 = 31 of 30"),
    (
      {"decay": "stairs", "stairs": (("10 steps", 0.1), ("1 epochs", 0.2))},
      "steps [10, 10], which do not increase",
    ),
  ],
)
def test_what_cannot_be_meant_is_an_error(fields, says):
  with pytest.raises(errors.ConfigError) as e:
    _values(**fields)
  assert says in str(e.value.under("optim"))


def test_a_bad_stair_is_refused_before_there_is_a_run():
  with pytest.raises(errors.ConfigError, match="did you mean steps"):
    schedule.Schedule(decay="stairs", stairs=(("1 stepz", 0.1),))


def test_goes_through_a_config_and_back():
  ours = schedule.Schedule(
    decay="stairs",
    warmup=Duration.parse("5 %"),
    stairs=(("10 epochs", 0.1),),
  )
  again = config.build(schedule.Schedule, config.to_config_dict(ours))
  assert again == ours
