"""The parts of a Vision Transformer, as training objectives compose them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.vit_cases import (
  COMPILE_FAST,
  SMALL,
  apply,
  images,
  noisy_params,
  small,
)
from vit_jax.core import errors
from vit_jax.models import vit
from vit_jax.nn import posemb_resize

N = 12


def parts(config):
  """The model's methods, compiled, and its noisy parameters."""
  model = vit.Model(config)
  params = noisy_params(model, images(config))

  def method(name, *args, **kwargs):
    run = functools.partial(model.apply, method=name, **kwargs)
    # Where arrays end and Python values begin.
    arrays = [a for a in args if isinstance(a, jax.Array)]
    rest = args[len(arrays) :]
    compiled = jax.jit(
      lambda p, *a: run({"params": p}, *a, *rest), compiler_options=COMPILE_FAST
    )
    return compiled(params, *arrays)

  return params, method


FORMS = [
  dict(),
  dict(pool="gap", posemb="learned_2d"),
  dict(pool="map", pre_logits_dim=7, posemb="none"),
  dict(pool="patches", posemb="sincos_2d", class_token_position=False),
  dict(posemb_at="every_layer"),
  dict(posemb_at="shared"),
  dict(posemb="relative", posemb_at="shared"),
]


@pytest.mark.parametrize("fields", FORMS)
def test_the_parts_make_the_whole(fields):
  config = small(**fields)
  params, method = parts(config)
  x = images()
  whole = apply(config, params, x)
  patches = method("embed", x)
  assert patches.shape == (2, N, 16)
  tokens, attention = method("encode", method("add_positions", patches))
  assert attention is None
  pre_logits, _ = method("pool", tokens)
  for name, found in {
    "tokens": tokens,
    "pre_logits": pre_logits,
    "logits": method("classify", pre_logits),
  }.items():
    np.testing.assert_allclose(found, whole[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["learned_1d", "learned_2d", "sincos_2d"])
def test_a_subset_keeps_its_positions(kind):
  """Without attention a token depends on its patch and position alone."""
  config = small(posemb=kind, class_token_position=False)
  params, method = parts(config)
  params["blocks"] = jax.tree.map(jnp.zeros_like, params["blocks"])
  patches = method("add_positions", method("embed", images()))
  whole, _ = method("encode", patches)
  kept = np.asarray([7, 0, 10])
  subset, _ = method("encode", patches[:, kept])
  assert subset.shape == (2, 4, 16)
  np.testing.assert_allclose(subset[:, 0], whole[:, 0], atol=1e-6)
  np.testing.assert_allclose(subset[:, 1:], whole[:, 1 + kept], atol=1e-6)


def test_any_number_of_patches_is_encoded():
  """No patch sees what was left out, and order makes no difference."""
  params, method = parts(SMALL)
  del params
  patches = method("add_positions", method("embed", images()))
  kept = np.asarray([3, 8, 1, 11, 4])
  order = np.asarray([2, 0, 4, 1, 3])
  first, _ = method("encode", patches[:, kept])
  second, _ = method("encode", patches[:, kept[order]])
  np.testing.assert_allclose(second[:, 0], first[:, 0], atol=1e-5)
  np.testing.assert_allclose(second[:, 1:], first[:, 1 + order], atol=1e-5)
  none, _ = method("encode", patches[:, :0])
  assert none.shape == (2, 1, 16)


@pytest.mark.parametrize("kind", ["learned_1d", "learned_2d", "sincos_2d"])
def test_images_of_another_size(kind):
  """Positions are resized, and their gradient reaches the parameters."""
  config = small(posemb=kind, class_token_position=False)
  params, method = parts(config)
  x = images(small(image_size=(8, 12)))
  patches = method("embed", x)
  assert patches.shape == (2, 2 * 6, 16)
  zeros = jnp.zeros((1, N, 16))
  table = method("add_positions", zeros)[0]
  expected = posemb_resize.resize(table, (3, 4), (2, 6), "bicubic")
  found = method("add_positions", patches, (2, 6)) - patches
  np.testing.assert_allclose(
    found, np.broadcast_to(expected, (2, N, 16)), atol=1e-5
  )
  tokens, _ = method("encode", patches)
  assert tokens.shape == (2, 1 + N, 16)
  if kind == "sincos_2d":
    return

  loss = lambda p: jnp.square(  # noqa: E731
    vit.Model(config).apply(
      {"params": p}, zeros, (2, 6), method="add_positions"
    )
  ).sum()
  grads = jax.jit(jax.grad(loss), compiler_options=COMPILE_FAST)(params)
  for name, g in grads["posemb"].items():
    assert np.abs(g).max(axis=1).min() > 0 or name == "class_token"


def test_what_cannot_be_embedded_or_encoded():
  _, method = parts(SMALL)
  with pytest.raises(errors.ConfigError, match=r"image_size=\(10, 8\) must be"):
    method("embed", jnp.zeros((1, 10, 8, 3)))
  for fields in (
    dict(posemb_at="every_layer"),
    dict(posemb_at="shared"),
    dict(posemb="relative", posemb_at="shared"),
  ):
    _, method = parts(small(**fields))
    with pytest.raises(errors.ConfigError, match="not for 5 patches; use stem"):
      method("encode", jnp.zeros((2, 5, 16)))


def test_dropout_is_that_of_the_whole():
  config = small(dropout=0.2, attention_dropout=0.2, stochastic_depth=0.3)
  params, method = parts(config)
  x = images()
  whole = apply(config, params, x, train=True, key=4)["tokens"]
  patches = method("add_positions", method("embed", x))
  rngs = {"dropout": jax.random.key(4)}
  tokens, _ = method("encode", patches, train=True, rngs=rngs)
  np.testing.assert_allclose(tokens, whole, rtol=1e-5, atol=1e-5)
