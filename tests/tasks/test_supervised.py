"""The objective by hand, on a model whose logits are its pixels."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.losses import classification
from vit_jax.tasks import base, supervised


@dataclasses.dataclass(frozen=True)
class Classes:
  num_classes: int = 3


class Model(nn.Module):
  """Logits are the images times a parameter; counts its calls."""

  config: Classes = Classes()

  @nn.compact
  def __call__(self, images, train=False):
    scale = self.param("scale", nn.initializers.ones, ())
    calls = self.variable("counts", "calls", lambda: jnp.zeros(()))
    if train:
      calls.value += 1
    return {"logits": scale * images.reshape(images.shape[0], -1)}


def task(**config):
  return supervised.Task(supervised.Config(**config), Model(), {})


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
  variables = base.Variables(params=params, ema={}, task_state=state)
  loss, aux = t.loss(variables, batch, jax.random.key(2), jnp.int32(0))
  logits = BATCH["image"].reshape(4, 3)
  target = jax.nn.one_hot(BATCH["label"], 3)
  expected = classification.softmax_xent(logits, target).mean()
  np.testing.assert_allclose(loss, expected, rtol=1e-6)
  assert not aux.metrics
  assert float(aux.state["counts"]["calls"]) == 1.0


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


PICTURES = {
  "image": jnp.arange(1.0, 1 + 3 * 16 * 12 * 2).reshape(3, 16, 12, 2),
  "label": jnp.array([0, 2, 1]),
}


def cut(batch):
  """What shows the example before, [h, w], after checking the rest."""
  image = np.asarray(PICTURES["image"])
  out = np.asarray(batch["image"])
  other = out == np.roll(image, 1, axis=0)
  np.testing.assert_array_equal(out[~other], image[~other])
  # The same pixels in every example and channel.
  assert (other == other[:1, ..., :1]).all()
  return other[0, ..., 0]


def test_cutmix_pastes_one_rectangle_of_the_example_before():
  shares = []
  augment = jax.jit(task(cutmix=1.0).augment)
  for seed in range(40):
    batch = augment(PICTURES, jax.random.key(seed))
    inside = cut(batch)
    rows, columns = inside.any(axis=1), inside.any(axis=0)
    np.testing.assert_array_equal(inside, rows[:, None] & columns)
    for line in (rows, columns):
      assert np.abs(np.diff(line.astype(int), prepend=0, append=0)).sum() <= 2
    w = 1 - inside.mean()
    np.testing.assert_allclose(batch["target"][0], [w, 1 - w, 0], atol=1e-6)
    shares.append(w)
  assert min(shares) < 0.4 and max(shares) > 0.95


def test_cutmix_size_follows_its_weight(monkeypatch):
  monkeypatch.setattr(
    jax.random, "beta", lambda key, a, b: jnp.asarray(0.75 + 0 * (a + b))
  )
  monkeypatch.setattr(
    jax.random, "randint", lambda key, shape, low, n: jnp.asarray(n // 2)
  )
  # Sides of sqrt(1 - 0.75) = half of 16 and 12 around (8, 6).
  inside = cut(task(cutmix=1.0).augment(PICTURES, jax.random.key(0)))
  wanted = np.zeros((16, 12), bool)
  wanted[4:12, 3:9] = True
  np.testing.assert_array_equal(inside, wanted)


def test_mixup_or_cutmix():
  augment = jax.jit(task(mixup=0.8, cutmix=1.0, switch_prob=0.3).augment)
  whole = 0
  for seed in range(100):
    out = augment(PICTURES, jax.random.key(seed))
    kept = (np.asarray(out["image"]) == PICTURES["image"]).mean()
    # Mixup leaves no pixel as it was, cutmix keeps or replaces each.
    whole += kept > 0 or np.isin(out["image"], PICTURES["image"]).all()
    np.testing.assert_allclose(out["target"].sum(axis=1), 1.0, rtol=1e-5)
  assert 18 <= whole <= 42


def test_targets_from_the_onehot_op_are_taken():
  label = jnp.array([[0.0, 1.0, 0.0], [0.5, 0.0, 1.0], [0.0] * 3, [1.0] * 3])
  batch = task().augment({**BATCH, "label": label}, jax.random.key(0))
  np.testing.assert_array_equal(batch["target"], label)


def test_several_labels_with_sigmoid():
  t = task(loss="sigmoid")
  labels = jnp.array([[0, 2], [1, -1], [-1, -1], [2, -1]])
  batch = t.augment({**BATCH, "label": labels}, jax.random.key(0))
  np.testing.assert_array_equal(
    batch["target"], [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
  )


@pytest.mark.parametrize(
  "wrong",
  [
    {"label_smoothing": 1.0},
    {"mixup": -0.1},
    {"cutmix": -0.1},
    {"switch_prob": 1.1},
  ],
)
def test_config_errors(wrong):
  with pytest.raises(errors.ConfigError, match=next(iter(wrong))):
    supervised.Config(**wrong)


def test_several_views_of_an_image_are_refused():
  views = {**BATCH, "image": jnp.ones((4, 6, 8, 8, 3))}
  with pytest.raises(errors.ConfigError, match="multicrop, which gives 6"):
    task().augment(views, jax.random.key(0))
