"""Counts of models from elsewhere: XLA's, in tests/golden."""

import json
import pathlib

from vit_jax.reproduce import costs

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def row(label):
  """Parameters and XLA's operations of a model with a 1k head at 224 px."""
  family, variant, fields = costs.model_of(label)
  assert not fields
  return json.loads((GOLDEN / f"{family}_variants.json").read_text())[variant]
