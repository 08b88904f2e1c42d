"""Batch norm, inverted residuals, and folding of a map into patches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.nn.arrays import apply
from vit_jax.nn import inverted_residual, mobilevit_block


def random(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_batch_norm_while_training_and_after():
  x = 3 * random(4, 5, 6, 2) + 7
  layer = lambda train: inverted_residual.batch_norm(train, jnp.float32, None)  # noqa: E731
  variables = layer(False).init(jax.random.key(0), x)
  out, state = apply(layer(True), variables, x, mutable=["batch_stats"])
  axes = (0, 1, 2)
  mean, var = x.mean(axes), x.var(axes)
  expected = (x - mean) / np.sqrt(var + 1e-5)
  np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
  stats = state["batch_stats"]
  np.testing.assert_allclose(stats["mean"], 0.1 * mean, rtol=1e-5)
  np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * var, rtol=1e-5)
  out = apply(layer(False), {**variables, **state}, x)
  expected = (x - 0.1 * mean) / np.sqrt(0.9 + 0.1 * var + 1e-5)
  np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


def test_batch_statistics_are_float32_in_bfloat16():
  """Of 4,000 numbers around 100, of which bfloat16 keeps two digits."""
  x = jnp.asarray(100 + random(40, 10, 10, 2), jnp.bfloat16)
  layer = inverted_residual.ConvNorm(2, train=True, dtype=jnp.bfloat16)
  variables = layer.init(jax.random.key(0), jnp.asarray(x))
  kernel = jnp.eye(2).reshape(1, 1, 2, 2)
  params = {**variables["params"], "conv": {"kernel": kernel}}
  out, state = apply(
    layer, {**variables, "params": params}, x, mutable=["batch_stats"]
  )
  assert out.dtype == jnp.bfloat16
  mean = state["batch_stats"]["norm"]["mean"]
  assert mean.dtype == jnp.float32
  exact = np.asarray(x, np.float32).mean((0, 1, 2))
  np.testing.assert_allclose(mean, 0.1 * exact, rtol=1e-4)


@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("depthwise", [False, True])
def test_convolution_by_loops(size, stride, depthwise):
  """Zeros on both sides alike, whatever the stride."""
  x = random(1, *size, 2)
  layer = inverted_residual.ConvNorm(
    2, False, kernel=3, stride=stride, depthwise=depthwise
  )
  variables = layer.init(jax.random.key(0), jnp.asarray(x))
  kernel = variables["params"]["conv"]["kernel"]
  assert kernel.shape == (3, 3, 1 if depthwise else 2, 2)
  padded = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
  out = np.asarray(apply(layer, variables, x))[0]
  assert out.shape[:2] == tuple(-(-s // stride) for s in size)
  for i, j in np.ndindex(*out.shape[:2]):
    part = padded[stride * i :, stride * j :][:3, :3]
    y = (
      np.einsum("hwc,hwc->c", part, kernel[:, :, 0])
      if depthwise
      else np.einsum("hwc,hwcd->d", part, kernel)
    ) / np.sqrt(1 + 1e-5)
    expected = y / (1 + np.exp(-y))
    np.testing.assert_allclose(out[i, j], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
  ("width", "stride", "added"), [(4, 1, True), (4, 2, False), (6, 1, False)]
)
def test_input_is_added_where_shapes_allow(width, stride, added):
  """With a last norm of scale zero nothing but the input is left."""
  x = random(1, 4, 4, 4)
  layer = inverted_residual.InvertedResidual(width, 2, stride, train=False)
  variables = layer.init(jax.random.key(0), jnp.asarray(x))
  params = dict(variables["params"])
  project = dict(params["project"])
  project["norm"] = jax.tree.map(jnp.zeros_like, project["norm"])
  params["project"] = project
  out = apply(layer, {**variables, "params": params}, x)
  np.testing.assert_array_equal(out, x if added else np.zeros_like(out))


def test_unfold_and_fold():
  x = random(2, 4, 9, 5)
  sequences = mobilevit_block.unfold(jnp.asarray(x), (2, 3))
  assert sequences.shape == (2 * 6, 6, 5)
  for b, p, q, i, j in np.ndindex(2, 2, 3, 2, 3):
    np.testing.assert_array_equal(
      sequences[b * 6 + p * 3 + q, i * 3 + j], x[b, 2 * i + p, 3 * j + q]
    )
  np.testing.assert_array_equal(
    mobilevit_block.fold(sequences, (4, 9), (2, 3)), x
  )
