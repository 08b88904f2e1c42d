"""Statistics of stacked tensors, and where the optimiser's state lives."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np
import optax
import pytest

from vit_jax.core import errors, mesh as mesh_lib
from vit_jax.optim import adafactor, adamw, base, layers, sgd

DEPTH = 32
SHAPES = {
  "kernel": (48, 64),
  "square": (40, 40),
  "bias": (48,),
  "query": (64, 4, 36),
  "out": (2, 24, 64),
  "scalar": (),
}


def _draw(seed):
  rng = np.random.default_rng(seed)
  # Layers and tensors of different size, so that mixing them up shows.
  size = np.exp(rng.standard_normal([DEPTH]))
  return {
    k: size.reshape(-1, *[1] * len(shape)).astype(np.float32)
    * rng.standard_normal((DEPTH, *shape)).astype(np.float32)
    for k, shape in SHAPES.items()
  }


def _run(config, draws, stacked):
  """The parameters `draws(0)` after three steps of gradients, and the state."""
  params = draws(0)
  tx = base.make(config, lambda _: 1.0, params, stacked=stacked)
  state = tx.init(params)
  update = jax.jit(tx.update)
  for step in range(3):
    updates, state = update(draws(1 + step), state, params)
    params = optax.apply_updates(params, updates)
  return params, state


def _stacked(seed):
  return {"blocks": {k: jnp.asarray(v) for k, v in _draw(seed).items()}}


@pytest.mark.parametrize("clip_rms", [0.0, 0.5])
def test_adafactor_of_a_stack_of_32_is_that_of_its_layers(clip_rms):
  config = adafactor.Config(
    peak_lr=0.1,
    weight_decay=0.1,
    weight_decay_mask=(".*kernel",),
    clip_rms=clip_rms,
    mu_dtype="float32",
  )
  stacked, _ = _run(config, _stacked, "blocks/")
  first = {k: jnp.asarray(v[0]) for k, v in _draw(0).items()}
  tx = base.make(config, lambda _: 1.0, first, stacked="")
  update = jax.jit(tx.update)
  draws = [_draw(seed) for seed in range(4)]
  for i in range(DEPTH):
    params, *grads = [
      {k: jnp.asarray(v[i]) for k, v in d.items()} for d in draws
    ]
    state = tx.init(params)
    for g in grads:
      updates, state = update(g, state, params)
      params = optax.apply_updates(params, updates)
    for name, want in params.items():
      got = stacked["blocks"][name][i]
      np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=name)


def test_adafactor_keeps_factors_of_the_two_largest_dimensions():
  _, state = _run(adafactor.Config(), _stacked, "blocks/")
  factored = state[0][0][0]
  assert isinstance(factored, optax.FactoredState)
  rows, cols = factored.v_row["blocks"], factored.v_col["blocks"]
  full = factored.v["blocks"]
  assert {rows["kernel"].shape, cols["kernel"].shape} == {(32, 48), (32, 64)}
  assert {rows["query"].shape, cols["query"].shape} == {
    (32, 4, 36),
    (32, 64, 4),
  }
  assert full["kernel"].shape == (32, 1)
  # Not a matrix of 32 x 48, and 24 is too small.
  assert full["bias"].shape == (32, 48)
  assert full["out"].shape == (32, 2, 24, 64)


@pytest.mark.parametrize(("clip_rms", "b2_cap"), [(0.0, 0.999), (0.5, 0.3)])
def test_adafactor_by_hand(clip_rms, b2_cap):
  """One matrix and one vector in float64, three steps."""
  config = adafactor.Config(
    peak_lr=0.1, mu_dtype="float32", clip_rms=clip_rms, b2_cap=b2_cap
  )
  rng = np.random.default_rng(3)
  shapes = {"w": (32, 40), "b": (40,)}
  want = {k: rng.standard_normal(s) for k, s in shapes.items()}
  params = {k: jnp.asarray(v, jnp.float32) for k, v in want.items()}
  tx = base.make(config, lambda _: 1.0, params, stacked="")
  state = tx.init(params)
  row, col, vec, m = 0.0, 0.0, 0.0, {"w": 0.0, "b": 0.0}
  for t in (1, 2, 3):
    g = {k: rng.standard_normal(s) for k, s in shapes.items()}
    d = min(b2_cap, 1 - t**-0.8)
    row = d * row + (1 - d) * (g["w"] ** 2).mean(1)
    col = d * col + (1 - d) * (g["w"] ** 2).mean(0)
    vec = d * vec + (1 - d) * g["b"] ** 2
    u = {
      "w": g["w"] / np.sqrt(np.outer(row, col) / row.mean()),
      "b": g["b"] / np.sqrt(vec),
    }
    for k in shapes:
      if clip_rms:
        u[k] = u[k] / max(1, np.sqrt((u[k] ** 2).mean()) / clip_rms)
      m[k] = 0.9 * m[k] + 0.1 * u[k]
      want[k] = want[k] - 0.1 * m[k]
    grads = {k: jnp.asarray(v, jnp.float32) for k, v in g.items()}
    updates, state = tx.update(grads, state, params)
    params = optax.apply_updates(params, updates)
  for k in shapes:
    np.testing.assert_allclose(params[k], want[k], atol=3e-6)


def test_first_match_sees_parameters_and_their_layers():
  params = {
    "blocks": {"w": jnp.zeros([3, 2]), "g": jnp.zeros([3])},
    "other_blocks": {"w": jnp.zeros([5, 2])},
  }
  got = layers.first_match(
    params, ["blocks/2/.*", ".*/w", "blocks/[01]/g"], "blocks/"
  )
  np.testing.assert_array_equal(got["blocks/w"], [[1], [1], [0]])
  np.testing.assert_array_equal(got["blocks/g"], [2, 2, 0])
  assert got["other_blocks/w"].shape == ()
  assert got["other_blocks/w"] == 1


def test_nothing_is_stacked_without_a_pattern():
  params = {"blocks": {"w": jnp.zeros([3, 2])}}
  with pytest.raises(errors.ConfigError, match="blocks/0"):
    layers.first_match(params, ["blocks/0/w"], "")


@pytest.mark.parametrize(
  "config",
  [
    adamw.Config(weight_decay=0.1, clip_norm=1.0, frozen=("head/kernel",)),
    sgd.Config(frozen=("blocks/0/w",), lr_multipliers=(("head/.*", 2.0),)),
    adafactor.Config(clip_norm=1.0, frozen=("head/kernel",)),
    adafactor.Config(min_factored_dim=2),
  ],
  ids=["adamw", "sgd", "adafactor", "adafactor_factored"],
)
@pytest.mark.parametrize("abstract", [False, True])
def test_the_state_is_born_sharded_like_the_parameters(config, abstract):
  mesh = mesh_lib.make(mesh_lib.MeshShape(data=2, fsdp=2, tensor=2))
  specs = {
    "blocks": {"w": PartitionSpec(None, "fsdp", "tensor")},
    "head": {"kernel": PartitionSpec("tensor"), "bias": PartitionSpec()},
  }
  shardings = jax.tree.map(lambda s: NamedSharding(mesh, s), specs)
  params = {
    "blocks": {"w": jnp.ones([3, 8, 8])},
    "head": {"kernel": jnp.ones([8, 4]), "bias": jnp.ones(4)},
  }
  params = jax.device_put(params, shardings)
  shapes = jax.eval_shape(lambda: params) if abstract else params
  tx = base.make(config, lambda _: 1.0, shapes, stacked="blocks/")
  placed = base.state_shardings(tx, shapes, shardings, mesh)
  state = jax.jit(tx.init, out_shardings=placed)(params)
  update = jax.jit(tx.update, out_shardings=(shardings, placed))
  _, after = update(params, state, params)
  assert jax.tree.structure(state) == jax.tree.structure(after)
  for leaf in jax.tree.leaves(state):
    split = leaf.shape == (3, 8, 8)
    want = shardings["blocks"]["w"] if split else None
    if leaf.shape == (8, 4):
      want = shardings["head"]["kernel"]
    if want is None:
      assert leaf.sharding.is_fully_replicated
    else:
      assert leaf.sharding.is_equivalent_to(want, leaf.ndim)
      assert leaf.addressable_shards[0].data.size < leaf.size
