"""Every evaluator of the package: same scores on any mesh, at any batch size.

Evaluators are found by their files; a new one needs a row in FIELDS where its
defaults are not enough.
"""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from tests.models import small_models
from vit_jax import evals
from vit_jax.core import mesh as mesh_lib, parts
from vit_jax.data import config as data_config
from vit_jax.models import vit
from vit_jax.preprocess.pipeline import Pipeline
from vit_jax.train import experiment as experiment_lib, setup

pytestmark = pytest.mark.usefixtures("quick_compile")
CLASSES, TEST, TRAIN = 4, 37, 45
MODEL = vit.Config(
  num_classes=CLASSES,
  image_size=(8, 8),
  patch_size=(4, 4),
  width=8,
  depth=1,
  num_heads=2,
  mlp_dim=8,
)
MAP = {"source": "made up", "map": {"0": 1, "1": "3", "2": 1}}


def split(size, name):
  return data_config.Split(
    name=f"synthetic:{size}x8x8x1x{CLASSES}",
    split=name,
    preprocess=Pipeline.parse("value_range(-1, 1)"),
  )


FIELDS = {
  "fewshot": {"shots": (1, 5), "train": split(TRAIN, "train")},
  "knn": {"neighbours": (1, 20), "train": split(TRAIN, "train")},
  "resolution": {"preprocess": ("resize(12)|value_range(-1, 1)",)},
}


def modules():
  """Those that can stand in a config."""
  package = evals.__name__
  return {name: parts.find(package, name) for name in parts.names(package)}


class Linear(nn.Module):
  """What is quick to compile."""

  @nn.compact
  def __call__(self, images, train=False):
    flat = images.reshape(images.shape[0], -1)
    feature = jnp.tanh(nn.Dense(8)(flat))
    return {"pre_logits": feature, "logits": nn.Dense(CLASSES)(feature)}


@pytest.fixture(scope="module")
def class_map(tmp_path_factory):
  path = tmp_path_factory.mktemp("map") / "map.json"
  path.write_text(json.dumps(MAP))
  return str(path)


def run(name, class_map, devices, batch_size):
  """As a run does it, from the config on."""
  fields = dict(FIELDS.get(name, {}), data=split(TEST, "test"))
  if name == "objectnet":
    fields["class_map"] = class_map
  evaluator = modules()[name].Config(**fields, batch_size=batch_size)
  experiment = experiment_lib.Experiment(model=MODEL, evals={name: evaluator})
  opened, _ = experiment_lib.open_evals(experiment)
  model = setup.make_model(experiment) if name == "resolution" else Linear()
  mesh = mesh_lib.make(mesh_lib.MeshShape(), jax.devices()[:devices])
  variables = small_models.noisy_variables(
    model, small_models.images((8, 8), channels=1)
  )
  made = setup.make_evaluators(experiment, opened, model, mesh)
  return made[name](variables), made[name](variables, stop=lambda: True)


def test_there_are_eight():
  assert set(modules()) >= {
    *("calibration", "classification", "fewshot", "knn", "objectnet", "real"),
    *("confusion", "resolution"),
  }


@pytest.mark.parametrize("name", modules())
def test_any_mesh_and_batch_size(name, class_map):
  scores, stopped = run(name, class_map, 1, 7)
  assert stopped is None
  counts = {k: v for k, v in scores.items() if k.startswith(("ex", "un"))}
  assert sum(counts.values()) == TEST * (2 if name == "resolution" else 1)
  assert all(isinstance(count, int) for count in counts.values())
  for devices, batch_size in ((8, 7), (1, 32)):
    others, _ = run(name, class_map, devices, batch_size)
    assert others == pytest.approx(scores, rel=1e-5, abs=1e-6)
    assert {k: others[k] for k in counts} == counts
