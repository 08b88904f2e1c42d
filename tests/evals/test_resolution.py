"""Accuracy at other image sizes: positions resized, nothing else."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.evals import pixels
from tests.models import small_models
from vit_jax.core import errors
from vit_jax.data import base as sources, config as data_config
from vit_jax.evals import classification, resolution
from vit_jax.models import vit
from vit_jax.nn import posemb_resize
from vit_jax.preprocess.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("quick_compile")
PREPROCESS = "resize({size})|value_range(-1, 1)"
SPLIT = data_config.Split(
  name="synthetic:11x8x8x1x3",
  split="test",
  preprocess=Pipeline.parse("value_range(-1, 1)"),
)


def make(**fields):
  config = vit.Config(
    num_classes=3,
    image_size=(8, 8),
    patch_size=(4, 4),
    width=8,
    depth=1,
    num_heads=2,
    mlp_dim=8,
    **fields,
  )
  model = vit.Model(config)
  x = small_models.images((8, 8), channels=1)
  return model, small_models.noisy_variables(model, x)


def data():
  return {"data": sources.open_source(SPLIT.name, SPLIT.split)}


def config(*sizes, **fields):
  others = tuple(PREPROCESS.format(size=size) for size in sizes)
  return resolution.Config(data=SPLIT, preprocess=others, **fields)


@pytest.mark.parametrize("posemb", ["learned_1d", "learned_2d"])
def test_as_resized_by_hand(posemb):
  model, variables = make(posemb=posemb)
  evaluator = resolution.Evaluator(config(12), model, data(), pixels.mesh())
  scores = evaluator(variables)
  assert scores["examples_8x8"] == scores["examples_12x12"] == 11
  plain = classification.Evaluator(
    classification.Config(data=SPLIT), model, data(), pixels.mesh()
  )
  own = {k: v for k, v in scores.items() if k.endswith("_8x8")}
  assert own == {f"{k}_8x8": v for k, v in plain(variables).items()}
  params = dict(variables["params"])
  table = {k: np.asarray(v) for k, v in params["posemb"].items()}
  params["posemb"] = {
    k: posemb_resize.of_name(f"posemb/{k}", v, (2, 2), (3, 3), "linear")
    for k, v in table.items()
  }
  larger = vit.Model(dataclasses.replace(model.config, image_size=(12, 12)))
  split = dataclasses.replace(
    SPLIT, preprocess=Pipeline.parse(PREPROCESS.format(size=12))
  )
  by_hand = classification.Evaluator(
    classification.Config(data=split), larger, data(), pixels.mesh()
  )({"params": params})
  assert scores["loss_12x12"] == pytest.approx(by_hand["loss"], rel=1e-6)
  assert scores["loss_12x12"] != pytest.approx(scores["loss_8x8"], rel=1e-3)


def test_parameters_on_devices():
  """As in training: on a mesh, not in the host's memory."""
  model, variables = make()
  evaluator = resolution.Evaluator(config(12), model, data(), pixels.mesh())
  on_host = evaluator(variables)
  whole = jax.sharding.NamedSharding(pixels.mesh(), jax.P())
  assert evaluator(jax.device_put(variables, whole)) == on_host


def test_stops_when_asked():
  model, variables = make()
  evaluator = resolution.Evaluator(config(12), model, data(), pixels.mesh())
  assert evaluator(variables, stop=lambda: True) is None


def test_errors():
  model, _ = make()
  with pytest.raises(errors.ConfigError, match=r"image_size=\(10, 10\) must"):
    resolution.Evaluator(config(10), model, data(), pixels.mesh())
  with pytest.raises(errors.ConfigError, match="gives images of"):
    resolution.Evaluator(config(12, 12), model, data(), pixels.mesh())
  with pytest.raises(errors.ConfigError, match="unknown op resiz"):
    resolution.Config(preprocess=("resiz(12)",))
  model, variables = make(posemb="relative", posemb_at="every_layer")
  evaluator = resolution.Evaluator(config(12), model, data(), pixels.mesh())
  with pytest.raises(errors.ConfigError, match="cannot see images of"):
    evaluator(variables)
