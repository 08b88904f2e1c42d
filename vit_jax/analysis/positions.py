"""How alike the position embeddings are (Figures 7 and 10)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vit_jax.core import tree
from vit_jax.models import vit
from vit_jax.nn import posemb

# What is done, and where it comes from.
CHOICES = (
  (
    "Each tile is the cosine similarity of the position embedding of one patch"
    " to those of all patches, with colours from -1 to 1",
    "Figures 7 and 10, arXiv:2010.11929",
  ),
  (
    "The class token's embedding is left out",
    "Figure 7, arXiv:2010.11929, has none",
  ),
  (
    "Nothing is subtracted from the embeddings before",
    "not in the paper",
  ),
)
# What is compared, by `vit.Config.posemb`.
KINDS = {
  "learned_1d": "one learned vector for each patch",
  "learned_2d": "learned tables of rows and columns, concatenated",
  "sincos_2d": (
    "sines and cosines, which are fixed: training has not changed them"
  ),
}


def absent(config: vit.Config) -> str:
  """Why there are no position embeddings to compare, or ""."""
  return {
    "none": "The model has no position embeddings.",
    "relative": (
      "The model has no vectors of positions: its learned offsets between"
      " tokens enter the attention logits."
    ),
  }.get(config.posemb, "")


def tables(config: vit.Config, params: Mapping[str, Any]) -> list[np.ndarray]:
  """The patches' embeddings [gh * gw, D]: one table, or one for each layer.

  Args:
    config: of a model with position embeddings.
    params: of the model.
  """
  table = posemb.PositionTable(
    config.posemb,
    config.grid,
    config.width,
    config.class_token,
    config.class_token_position,
  )
  if config.posemb_at == "every_layer":
    stacked = tree.flatten(params[vit.STACKED.rstrip("/")]["posemb"])
    own = [{k: v[i] for k, v in stacked.items()} for i in range(config.depth)]
  else:
    # Sines and cosines have no parameters.
    own = [params.get("posemb", {})]
  gh, gw = config.grid
  return [np.asarray(table.apply({"params": p}))[-gh * gw :] for p in own]


def similarity(table: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
  """Cosine similarity of every embedding to every other.

  Args:
    table: [gh * gw, D], in raster order.
    grid: (gh, gw).

  Returns:
    [gh, gw, gh, gw], float64; a vector of zeros is like none, 0.
  """
  table = table.astype(np.float64)
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  unit = table / np.where(norm > 0, norm, 1)
  return (unit @ unit.T).reshape(*grid, *grid)
