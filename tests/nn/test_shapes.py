"""The shapes that types state are checked while the tests run."""

import jax
import jax.numpy as jnp
import jaxtyping
import pytest

from vit_jax.losses import classification
from vit_jax.nn import mlp


def test_a_layer_refuses_another_shape():
  layer = mlp.MlpBlock(8)
  layer.init(jax.random.key(0), jnp.ones((2, 5, 4)))
  with pytest.raises(jaxtyping.TypeCheckError):
    layer.init(jax.random.key(0), jnp.ones((2, 4)))


def test_a_loss_refuses_targets_of_another_batch():
  logits = jnp.ones((4, 3))
  assert classification.softmax_xent(logits, logits).shape == (4,)
  with pytest.raises(jaxtyping.TypeCheckError):
    classification.softmax_xent(logits, jnp.ones((5, 3)))
