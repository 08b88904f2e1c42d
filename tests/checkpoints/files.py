"""Files of weights for the tests: fixtures on disk, whole and spoilt."""

import json

import numpy as np

from tests.parity import rule
from vit_jax import checkpoints
from vit_jax.checkpoints import (
  loaded as loaded_lib,
  npz,
  safetensors_io,
  tensors,
)
from vit_jax.core import tree


def same(a, b):
  """Asserts that trees have the same arrays, bit for bit."""
  a, b = tree.flatten(a), tree.flatten(b)
  assert a.keys() == b.keys()
  for name, value in a.items():
    np.testing.assert_array_equal(value, b[name])


def is_torch(name):
  return name.startswith(("timm_", "hf_"))


def container(name):
  return safetensors_io if is_torch(name) else npz


def write(folder, name, change=None, config=True):
  """A fixture's parameters under their published names, as a file.

  Args:
    folder: to write to.
    name: of the fixture.
    change: of the dict of arrays, in place.
    config: write the config.json that a hub has beside the file.

  Returns:
    Its path.
  """
  fixture = rule.load(name)
  arrays = rule.params(fixture)
  if change:
    change(arrays)
  path = folder / ("model.safetensors" if is_torch(name) else "weights.bin")
  container(name).write(
    path, {k: tensors.from_array(v) for k, v in arrays.items()}
  )
  if config and is_torch(name):
    path.with_name("config.json").write_text(json.dumps(hub_config(fixture)))
  return path


def hub_config(fixture):
  """What stands in the config.json of such a model."""
  theirs = dict(fixture["config"])
  if "transformers" in fixture["source"]:
    return theirs
  return {
    "architecture": theirs.pop("model"),
    "num_classes": theirs.pop("num_classes"),
    "model_args": {k: v for k, v in theirs.items() if k != "resolution"},
  }


def read(path, name):
  """The arrays of a file by name."""
  with container(name).opened(path) as found:
    return {k: v.read() for k, v in found.items()}


def save_random(model, to, out, channels=3, labels=()):
  """Saves a model with random weights; its checkpoint and what was written."""
  rng = np.random.default_rng(0)
  shapes = loaded_lib.model_shapes(model, channels)
  arrays = {k: rng.standard_normal(v).astype("f4") for k, v in shapes.items()}
  params, stats = loaded_lib.nested(arrays)
  text = f"decode({channels})|resize(32)|value_range(-1.0, 1.0)"
  checkpoint = checkpoints.Loaded(
    *(model, params, stats, "", checkpoints.Report(()), text, tuple(labels))
  )
  return checkpoint, checkpoints.save(checkpoint, to, out)
