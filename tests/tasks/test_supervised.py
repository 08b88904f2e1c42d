"""The objective by hand, on a model whose logits are its pixels."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.losses import classification
from vit_jax.tasks import supervised


class Model(nn.Module):
  """Logits are the images times a parameter; counts its calls."""

  @nn.compact
  def __call__(self, images, train=False):
    scale = self.param("scale", nn.initializers.ones, ())
    calls = self.variable("counts", "calls", lambda: jnp.zeros(()))
    if train:
      calls.value += 1
    return {"logits": scale * images.reshape(images.shape[0], -1)}


def task(**config):
  return supervised.Task(supervised.Config(**config), Model(), 3)


BATCH = {
  "image": jnp.arange(12.0).reshape(4, 1, 3, 1) / 7,
  "label": jnp.array([0, 2, 1, 1]),
}


def test_loss_gradient_and_state():
  t = task()
  params, state = t.init(jax.random.key(0), BATCH["image"])
  assert set(params) == {"scale"}
  assert set(state) == {"counts"}
  batch = t.augment(BATCH, jax.random.key(1))
  loss, after = t.loss(params, state, batch, jax.random.key(2))
  logits = BATCH["image"].reshape(4, 3)
  target = jax.nn.one_hot(BATCH["label"], 3)
  expected = classification.softmax_xent(logits, target).mean()
  np.testing.assert_allclose(loss, expected, rtol=1e-6)
  assert float(after["counts"]["calls"]) == 1.0


def test_label_smoothing():
  batch = task(label_smoothing=0.3).augment(BATCH, jax.random.key(1))
  np.testing.assert_allclose(batch["target"][0], [0.8, 0.1, 0.1], rtol=1e-6)


def test_mixup_mixes_neighbours_with_one_weight():
  batch = task(mixup=0.4).augment(BATCH, jax.random.key(3))
  rolled = np.roll(BATCH["image"], 1, axis=0)
  image = np.asarray(BATCH["image"])
  weight = (np.asarray(batch["image"]) - rolled) / (image - rolled)
  np.testing.assert_allclose(weight, weight.flat[0], rtol=1e-4)
  w = weight.flat[0]
  assert 0.5 <= w < 1.0
  np.testing.assert_allclose(batch["target"][0], [w, 1 - w, 0], rtol=1e-4)
  np.testing.assert_allclose(batch["target"][3], [0, 1, 0], atol=1e-6)
  other = task(mixup=0.4).augment(BATCH, jax.random.key(4))
  assert not np.allclose(other["image"], batch["image"])


def test_several_labels_with_sigmoid():
  t = task(loss="sigmoid")
  labels = jnp.array([[0, 2], [1, -1], [-1, -1], [2, -1]])
  batch = t.augment({**BATCH, "label": labels}, jax.random.key(0))
  np.testing.assert_array_equal(
    batch["target"], [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
  )


@pytest.mark.parametrize("wrong", [{"label_smoothing": 1.0}, {"mixup": -0.1}])
def test_config_errors(wrong):
  with pytest.raises(errors.ConfigError, match=next(iter(wrong))):
    supervised.Config(**wrong)
