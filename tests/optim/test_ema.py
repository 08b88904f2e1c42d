import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.core.duration import Duration
from vit_jax.optim import ema

STEPS = 12
START = Duration(4, "steps")


def _params():
  """The parameters before step 0 and after every step, float64."""
  return np.random.default_rng(0).standard_normal((STEPS + 1, 3, 2))


def _run(config):
  params = jnp.asarray(_params(), jnp.float32)
  update = jax.jit(
    ema.make(config, total_steps=STEPS, batch_size=1, epoch_examples=1)
  )
  average = ema.init(config, {"w": params[0]})
  rows = []
  for step in range(STEPS):
    average = update(average, {"w": params[step + 1]}, step)
    rows.append(average["w"])
  return np.asarray(rows)


def test_ema_is_the_recursion():
  want, a = [], _params()[0]
  for p in _params()[1:]:
    a = 0.9 * a + 0.1 * p
    want.append(a)
  got = _run(ema.Average(kind="ema", decay=0.9))
  np.testing.assert_allclose(got, want, atol=1e-6)


def test_ema_with_warmup_from_a_start():
  want, a = [], None
  for step, p in enumerate(_params()[1:]):
    t = step - 4
    d = min(0.3, (1 + t) / (10 + t))
    a = p if t < 0 else d * a + (1 - d) * p
    want.append(a)
  got = _run(ema.Average(kind="ema", decay=0.3, warmup=True, start=START))
  np.testing.assert_allclose(got, want, atol=1e-6)


def test_polyak_is_the_mean_from_its_start():
  params = _params()[1:]
  want = [
    params[min(s, 4) if s < 4 else 4 : s + 1].mean(0) for s in range(4, STEPS)
  ]
  got = _run(ema.Average(kind="polyak", start=START))
  np.testing.assert_allclose(got[4:], want, atol=1e-6)
  np.testing.assert_array_equal(got[:4], params[:4].astype(np.float32))


def test_none_keeps_nothing():
  config = ema.Average()
  update = ema.make(config, total_steps=1, batch_size=1, epoch_examples=1)
  average = ema.init(config, {"w": jnp.ones(2)})
  assert not jax.tree.leaves(average)
  assert update(average, {"w": jnp.ones(2)}, 0) == average


def test_average_and_parameters_can_be_donated_to_one_step():
  params = {"w": jnp.ones(2)}
  average = ema.init(ema.Average(kind="ema"), params)
  both = jax.jit(lambda a, p: (a["w"] + 1, p["w"] - 1), donate_argnums=(0, 1))
  both(average, params)


@pytest.mark.parametrize(
  ("fields", "says"),
  [
    ({"decay": 0.9}, "average.decay=0.9 has no effect with average.kind=none"),
    ({"kind": "polyak", "decay": 0.9}, "only with ema"),
    ({"kind": "polyak", "warmup": True}, "only with ema"),
    ({"start": START}, "only with ema and polyak"),
    ({"kind": "ema", "decay": 1.0}, "between 0 and 1"),
    ({"kind": "ema", "start": Duration(100, "%")}, "step 12 of 12"),
  ],
)
def test_what_cannot_be_meant_is_an_error(fields, says):
  with pytest.raises(errors.ConfigError) as e:
    _run(ema.Average(**fields))
  assert says in str(e.value.under("average"))
