import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.losses import classification

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]])


def test_targets_single_and_several_labels():
  single = classification.targets(jnp.array([2, 0]), 3)
  np.testing.assert_array_equal(single, [[0, 0, 1], [1, 0, 0]])
  several = classification.targets(
    jnp.array([[2, 0, -1], [1, -1, -1], [-1, -1, -1]]), 3
  )
  np.testing.assert_array_equal(several, [[1, 0, 1], [0, 1, 0], [0, 0, 0]])


def test_floats_are_targets_already():
  given = np.array([[0.0, 1.0, 0.5], [0.0, 0.0, 0.0]], np.float32)
  np.testing.assert_array_equal(
    classification.targets(jnp.array(given), 3), given
  )
  with pytest.raises(errors.ConfigError, match=r"\(3,\) floats .* onehot\(4\)"):
    classification.targets(jnp.array(given), 4)
  with pytest.raises(errors.ConfigError, match=r"\(\) floats an example"):
    classification.targets(jnp.array([0.0, 1.0]), 2)


def test_smooth_keeps_the_sum():
  smooth = classification.smooth(jnp.array([[0.0, 1.0, 0.0, 0.0]]), 0.1)
  np.testing.assert_allclose(smooth, [[0.025, 0.925, 0.025, 0.025]], rtol=1e-6)


def test_softmax_xent_by_hand():
  targets = np.array([[1.0, 0.0, 0.0], [0.25, 0.25, 0.5]])
  p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
  expected = -(targets * np.log(p)).sum(-1)
  ours = classification.softmax_xent(jnp.array(LOGITS), jnp.array(targets))
  np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_sigmoid_xent_by_hand():
  targets = np.array([[1.0, 0.0, 1.0], [0.0, 0.5, 0.0]])
  p = 1 / (1 + np.exp(-LOGITS))
  expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(-1)
  ours = classification.sigmoid_xent(jnp.array(LOGITS), jnp.array(targets))
  np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("name", classification.LOSSES)
def test_finite_at_extreme_logits(name):
  logits = jnp.array([[1e4, -1e4, 0.0]])
  loss = classification.LOSSES[name](logits, jnp.array([[0.0, 1.0, 0.0]]))
  assert np.isfinite(loss).all()
  assert loss[0] > 1e4 - 1
