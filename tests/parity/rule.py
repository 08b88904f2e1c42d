"""Fixtures: what published code computed for parameters made by a rule.

A fixture holds names and shapes of parameters and the outputs, not weights:
the values are drawn here, seeded by the fixture's salt and the name.
"""

import json
import pathlib
import zlib

import numpy as np

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def load(name):
  return json.loads((FIXTURES / f"{name}.json").read_text())


def names(pattern):
  return sorted(path.stem for path in FIXTURES.glob(f"{pattern}.json"))


def draw(key, shape):
  """Standard normal numbers, a function of key and shape alone."""
  rng = np.random.default_rng(zlib.crc32(key.encode()))
  return rng.standard_normal(shape).astype(np.float32)


def params(fixture):
  """The parameters by their published names."""
  values = {}
  for name, spec in fixture["params"].items():
    n = draw(f"{fixture['salt']}:{name}", spec["shape"])
    value = {
      "scale": lambda n: 1 + 0.1 * n,
      "small": lambda n: 0.1 * n,
      "var": lambda n: 1 + 0.1 * np.abs(n),
      "weight": lambda n, spec=spec: spec["std"] * n,
    }[spec["kind"]](n)
    values[name] = value.astype(np.float32)
  return values


def image(fixture):
  """The input, NHWC in [-1, 1]."""
  rng = np.random.default_rng(zlib.crc32(f"{fixture['salt']}:image".encode()))
  return rng.uniform(-1, 1, fixture["image_shape"]).astype(np.float32)


def error(ours, theirs):
  """max|ours - theirs| / std(theirs)."""
  theirs = np.asarray(theirs)
  assert ours.shape == theirs.shape
  return np.abs(ours - theirs).max() / theirs.std()
