"""Each example counts once, whatever the batch size and the devices."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.evals import pixels
from vit_jax.core import errors, mesh as mesh_lib
from vit_jax.data import base, config as data_config
from vit_jax.evals import classification
from vit_jax.preprocess.pipeline import Pipeline

CLASSES = 7


@dataclasses.dataclass(frozen=True)
class Source(base.Source):
  """Images whose pixels are the logits their model will give."""

  size: int

  num_classes = CLASSES
  class_names = ()
  fingerprint = {"name": "logits", "version": "1", "split": "test"}

  def __len__(self):
    return self.size

  def __getitem__(self, index: int) -> dict[str, Any]:
    draw = np.random.default_rng(index)
    image = draw.integers(0, 255, (1, CLASSES, 1)).astype(np.uint8)
    return {"image": image, "label": index % CLASSES, "id": index}


class Pixels(nn.Module):
  """Logits are the pixels."""

  def __call__(self, images, train=False):
    return {"logits": images.reshape(images.shape[0], -1)}


def evaluator(size, batch_size, devices, loss="softmax"):
  config = classification.Config(
    data=data_config.Split(preprocess=Pipeline.parse("value_range(0, 10)")),
    batch_size=batch_size,
    loss=loss,
  )
  mesh = mesh_lib.make(mesh_lib.MeshShape(), jax.devices()[:devices])
  return classification.Evaluator(
    config, Pixels(), {"data": Source(size)}, mesh
  )


def expected(size):
  source = Source(size)
  examples = [source[i] for i in range(size)]
  logits = np.stack([e["image"].ravel() for e in examples]) / 25.5
  labels = np.array([e["label"] for e in examples])
  log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  rank = (logits > logits[np.arange(size), labels][:, None]).sum(-1)
  # Equal pixels: the first of them is the guess.
  top_1 = np.mean(logits.argmax(-1) == labels)
  return top_1, np.mean(rank < 5), -log_p[np.arange(size), labels].mean()


@pytest.mark.parametrize("size", [1, 23, 24, 25])
@pytest.mark.parametrize(
  ("batch_size", "devices"), [(8, 8), (24, 4), (5, 8), (100, 1)]
)
def test_every_example_once(size, batch_size, devices):
  scores = evaluator(size, batch_size, devices)({"params": {}})
  top_1, top_5, loss = expected(size)
  assert scores["examples"] == size
  np.testing.assert_allclose(scores["top_1"], top_1, atol=1e-7)
  np.testing.assert_allclose(scores["loss"], loss, rtol=1e-5)
  assert abs(scores["top_5"] - top_5) <= 1 / size


def test_sigmoid_loss():
  softmax = evaluator(25, 8, 8)({"params": {}})
  sigmoid = evaluator(25, 8, 8, "sigmoid")({"params": {}})
  assert sigmoid["top_1"] == softmax["top_1"]
  assert sigmoid["loss"] > softmax["loss"] > 0


def test_stops_when_asked():
  assert evaluator(25, 8, 8)({"params": {}}, stop=lambda: True) is None


def test_a_lost_example_is_an_error(monkeypatch):
  from vit_jax.data import pipeline

  whole = pipeline.eval_batches

  def short(source, *args, **kwargs):
    batches = whole(source, *args, **kwargs)
    return dataclasses.replace(batches, num_batches=batches.num_batches - 1)

  monkeypatch.setattr(pipeline, "eval_batches", short)
  with pytest.raises(errors.DataError, match="scored 24 of 25 examples"):
    evaluator(25, 8, 8)({"params": {}})


def test_config_errors():
  with pytest.raises(errors.ConfigError, match="batch_size=0"):
    classification.Config(batch_size=0)


def test_rank_promotion_is_strict():
  """The conftest's setting is on: shapes never broadcast by accident."""
  with pytest.raises(ValueError, match="rank"):
    jnp.ones((2, 3)) + jnp.ones(3)


def test_by_hand():
  """As of ImageNet-V2, whose labels are ImageNet's: seven classes here."""
  cases = [
    ([0, 1, 2, 3, 4, 5, 6], 6),  # first
    ([0, 1, 2, 3, 4, 5, 6], 2),  # fifth
    ([0, 1, 2, 3, 4, 5, 6], 1),  # sixth
    ([9, 0, 0, 0, 0, 0, 0], 0),  # first
  ]
  source = pixels.Source([c[0] for c in cases], [c[1] for c in cases])
  config = classification.Config(data=pixels.SPLIT)
  scores = pixels.scores(classification, config, data=source)
  # log of the sum of exp(0), ..., exp(6): 6 + log(1.58105...).
  normaliser = 6 + np.log(sum(np.exp(-k) for k in range(7)))
  loss = 3 * normaliser - (6 + 2 + 1) + np.log(1 + 6 * np.exp(-9))
  assert scores == {
    "top_1": 2 / 4,
    "top_5": 3 / 4,
    "loss": pytest.approx(loss / 4, rel=1e-6),
    "examples": 4,
  }
