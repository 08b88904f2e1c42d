"""Attention, MLP, patches, pooling and stochastic depth, by slow formulas."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.nn.arrays import apply
from vit_jax.nn import attention, encoder, mlp, patch, pooling, stochastic_depth


def random(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def init_random(module, *inputs):
  """Random numbers in place of the initial parameters."""
  shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
  rng = np.random.default_rng(1)
  draw = lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32)  # noqa: E731
  return jax.tree.map(draw, shapes)


def test_attention_by_loops():
  x, memory = random(2, 3, 8), random(2, 5, 8, seed=2)
  module = attention.MultiHeadAttention(num_heads=2)
  variables = init_random(module, x, memory)
  out, weights = jax.jit(module.apply)(variables, x, memory)
  p = variables["params"]
  project = lambda name, x: (  # noqa: E731
    np.einsum("ND,DHK->NHK", x, p[name]["kernel"]) + p[name]["bias"]
  )
  for b in range(2):
    q, k, v = (
      project(name, source)
      for name, source in zip(
        ("query", "key", "value"), (x[b], memory[b], memory[b]), strict=True
      )
    )
    expected = p["out"]["bias"]
    for h in range(2):
      logits = q[:, h] @ k[:, h].T / np.sqrt(4)
      a = np.exp(logits - logits.max(-1, keepdims=True))
      a /= a.sum(-1, keepdims=True)
      np.testing.assert_allclose(weights[b, h], a, rtol=1e-4, atol=1e-6)
      expected = expected + a @ v[:, h] @ p["out"]["kernel"][h]
    np.testing.assert_allclose(out[b], expected, rtol=1e-4, atol=1e-4)


def test_softmax_and_its_derivative():
  logits, weight = 5 * random(3, 4), random(3, 4, seed=2)
  # Large logits must not overflow.
  logits[0] += 1000.0
  logits = jnp.asarray(logits)
  theirs = lambda x: (jax.nn.softmax(x) * weight).sum()  # noqa: E731
  ours = lambda x: (attention.softmax(x) * weight).sum()  # noqa: E731
  np.testing.assert_allclose(ours(logits), theirs(logits), rtol=1e-5)
  np.testing.assert_allclose(
    jax.grad(ours)(logits), jax.grad(theirs)(logits), rtol=1e-4, atol=1e-6
  )


def test_attention_softmax_is_float32_in_bfloat16():
  x = random(1, 4, 8)
  module = attention.MultiHeadAttention(num_heads=2, dtype=jnp.bfloat16)
  out, weights = apply(module, init_random(module, x, x), x, x)
  assert (out.dtype, weights.dtype) == (jnp.bfloat16, jnp.float32)
  np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)


def test_mlp_is_the_tanh_gelu():
  x = random(2, 3, 4)
  module = mlp.MlpBlock(mlp_dim=6)
  variables = init_random(module, x)
  hidden, out = (variables["params"][k] for k in ("hidden", "out"))
  y = x @ hidden["kernel"] + hidden["bias"]
  inner = np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)
  expected = 0.5 * y * (1 + np.tanh(inner)) @ out["kernel"] + out["bias"]
  found = apply(module, variables, x)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_patches_are_a_strided_convolution():
  images = random(2, 12, 10, 3)
  module = patch.PatchEmbedding(width=7, patch_size=(4, 5))
  variables = init_random(module, images)
  p = variables["params"]
  expected = jax.lax.conv_general_dilated(
    images,
    p["kernel"],
    (4, 5),
    "VALID",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  ) + np.broadcast_to(p["bias"], (2, 3, 2, 7))
  found = apply(module, variables, images)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_pooling_without_parameters():
  tokens = random(2, 3, 4)
  np.testing.assert_array_equal(pooling.FIXED["token"](tokens), tokens[:, 0])
  mean = pooling.FIXED["gap"](jnp.asarray(tokens, jnp.bfloat16))
  assert mean.dtype == jnp.float32


def test_stochastic_depth_drops_examples_and_keeps_the_mean():
  x = jnp.ones((4000, 3, 2))
  out = stochastic_depth.StochasticDepth().apply(
    {}, x, jnp.float32(0.25), rngs={"dropout": jax.random.key(0)}
  )
  per_example = np.asarray(out).reshape(4000, 6)
  assert set(np.unique(per_example)) == {0.0, np.float32(1 / 0.75)}
  assert (per_example == per_example[:, :1]).all()
  # Four standard deviations of the mean of 4,000 draws.
  assert abs(per_example.mean() - 1.0) < 4 * np.sqrt(0.25 / 0.75 / 4000)


def test_drop_rates_grow_from_zero():
  np.testing.assert_allclose(encoder.drop_rates(0.3, 4), [0, 0.1, 0.2, 0.3])
  assert encoder.drop_rates(0.0, 4) is None
