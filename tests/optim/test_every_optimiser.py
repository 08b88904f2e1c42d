"""Every optimiser keeps the contract that `optim/base.py` states.

The files are found by themselves; a new one needs no line here.
"""

import dataclasses
import inspect
import pkgutil
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vit_jax import optim
from vit_jax.core import config as config_lib, errors, parts
from vit_jax.optim import base

# What is shared by all optimisers.
SHARED = {"base", "ema", "layers", "schedule"}
NAMES = sorted({m.name for m in pkgutil.iter_modules(optim.__path__)} - SHARED)
# More than either side of a layer, so that a rule that looks for the largest
# axes has to know that this is none.
LAYERS = 48


def params(seed=0):
  """Stacked layers and a head."""
  rng = np.random.default_rng(seed)
  tree = {
    "blocks": {"kernel": rng.standard_normal((LAYERS, 33, 40))},
    "head": {"kernel": rng.standard_normal((40, 5))},
  }
  return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


def config_of(name):
  return parts.find(optim.__name__, name).Config()


def run(rule, grads, start):
  """The updates of a rule for each of `grads`."""
  state, out = rule.init(start), []
  for grad in grads:
    update, state = jax.jit(rule.update)(grad, state, start)
    out.append(update)
  return out, state


def test_there_are_some():
  assert {"adamw", "sgd", "adafactor"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEveryOptimiser:
  def test_it_has_a_frozen_config_that_adds_a_rule(self, name):
    config = config_of(name)
    cls = type(config)
    assert isinstance(config, base.Optimizer)
    assert cls.__dataclass_params__.frozen
    assert "scale_by" in vars(cls)
    assert "make" not in vars(cls)

  def test_its_config_goes_to_text_and_back(self, name):
    config = config_of(name)
    plain = config_lib.to_config_dict(config)
    assert config_lib.build(type(config), plain) == config

  def test_its_docstring_names_every_field(self, name):
    cls = type(config_of(name))
    shared = {f.name for f in dataclasses.fields(base.Optimizer)}
    for field in dataclasses.fields(cls):
      doc = inspect.getdoc(base.Optimizer if field.name in shared else cls)
      assert re.search(rf"^  {field.name}: \S", doc, re.M), field.name

  def test_the_shared_rules_hold_for_it(self, name):
    with pytest.raises(
      errors.ConfigError, match=r"peak_lr=0\.0 must be positive"
    ):
      dataclasses.replace(config_of(name), peak_lr=0.0)

  def test_its_numbers_must_be_finite(self, name):
    for field in dataclasses.fields(config_of(name)):
      if isinstance(getattr(config_of(name), field.name), float):
        with pytest.raises(errors.ConfigError, match=f"{field.name}=nan"):
          dataclasses.replace(config_of(name), **{field.name: float("nan")})

  def test_an_update_has_the_sign_and_shape_of_the_gradient(self, name):
    grad = params(1)
    rule = config_of(name).scale_by("blocks/")
    (update,), _ = run(rule, [grad], params())
    for u, g in zip(*map(jax.tree.leaves, (update, grad)), strict=True):
      assert u.shape == g.shape
      assert bool((jnp.sign(u) == jnp.sign(g)).all())

  def test_a_layer_of_a_stack_is_a_tensor_of_its_own(self, name):
    # Layers of very different scales.
    sizes = jnp.logspace(-3, 3, LAYERS).reshape(LAYERS, 1, 1)
    grads = []
    for seed in (1, 2, 3):
      grad = params(seed)
      grad["blocks"]["kernel"] *= sizes
      grads.append(grad)
    whole, _ = run(config_of(name).scale_by("blocks/"), grads, params())
    for i in (0, 1, LAYERS - 1):
      alone = [{"kernel": g["blocks"]["kernel"][i]} for g in grads]
      start = {"kernel": params()["blocks"]["kernel"][i]}
      wanted, _ = run(config_of(name).scale_by(""), alone, start)
      for w, got in zip(wanted, whole, strict=True):
        scale = float(jnp.abs(w["kernel"]).max())
        np.testing.assert_allclose(
          got["blocks"]["kernel"][i], w["kernel"], rtol=0, atol=1e-5 * scale
        )

  def test_its_state_is_no_larger_than_it_may_be(self, name):
    tx = base.make(
      config_of(name), lambda s: jnp.float32(1), params(), stacked="blocks/"
    )
    shapes = {leaf.shape for leaf in jax.tree.leaves(params())}
    largest = max(np.prod(shape) for shape in shapes)
    for leaf in jax.tree.leaves(jax.eval_shape(tx.init, params())):
      assert leaf.shape in shapes or leaf.size < largest

  def test_it_makes_a_quadratic_smaller(self, name):
    config = dataclasses.replace(config_of(name), peak_lr=0.1)
    start = params()
    tx = base.make(config, lambda s: jnp.float32(1), start, stacked="blocks/")
    state, now = tx.init(start), start
    for _ in range(5):
      # The gradient of the halved sum of squares.
      updates, state = jax.jit(tx.update)(now, state, now)
      now = optax.apply_updates(now, updates)
    assert optax.tree.norm(now) < optax.tree.norm(start)
