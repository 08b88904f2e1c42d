"""Outputs of the published code bases, from files on disk.

Nothing but the file, and what a hub keeps beside it, says what model it is.
"""

import jax
import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints

FORMATS = {
  "vit_*": "vision_transformer",
  "hybrid_*": "vision_transformer",
  "bv_*": "big_vision",
  "bit_*": "bit",
  "timm_*": "timm",
  "hf_*": "hf",
}
NAMES = [name for pattern in FORMATS for name in rule.names(pattern)]


def test_all_published_models_are_here():
  assert len(NAMES) >= 19


@pytest.mark.parametrize("name", NAMES)
def test_published_outputs(tmp_path, name):
  fixture = rule.load(name)
  size = fixture["image_shape"][1:3]
  path = files.write(tmp_path, name)
  loaded = checkpoints.load(path, resolution=tuple(size))
  assert loaded.source_format.startswith(
    next(f for p, f in FORMATS.items() if name.startswith(p[:-1]))
  )
  assert set(loaded.report.used) == set(fixture["params"])
  assert not loaded.report.resized
  assert not loaded.report.reset
  assert not loaded.report.dropped
  with jax.default_matmul_precision("highest"):
    out = jax.jit(loaded.model.apply)(loaded.variables, rule.image(fixture))
  for key, theirs in fixture["outputs"].items():
    assert rule.error(np.asarray(out[key]), theirs) < 1e-5, key
