"""How alike the position embeddings are (Figures 7 and 10)."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Float64
import numpy as np

from vit_jax.core import tree
from vit_jax.models import vit
from vit_jax.nn import posemb

# What is done, and the source of each choice.
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
  """Why there are no position embeddings to compare; "" if there are."""
  return {
    "none": "The model has no position embeddings.",
    "relative": (
      "The model has no vectors of positions: its learned offsets between"
      " tokens enter the attention logits."
    ),
  }.get(config.posemb, "")


def tables(
  config: vit.Config, params: Mapping[str, Any]
) -> list[Float[np.ndarray, "patches D"]]:
  """The position embeddings of the patches: one table, or one for each layer.

  Args:
    config: config of a model with position embeddings.
    params: parameters of the model.
  """
  kind: Any = config.posemb
  table = posemb.PositionTable(
    kind,
    config.grid,
    config.width,
    config.class_token,
    config.class_token_position,
  )
  if config.posemb_at == "every_layer":
    stacked = tree.flatten(params[vit.STACKED.rstrip("/")]["posemb"])
    layers = [
      {k: v[i] for k, v in stacked.items()} for i in range(config.depth)
    ]
  else:
    # Sines and cosines have no parameters.
    layers = [params.get("posemb", {})]
  gh, gw = config.grid
  values: list[Any] = [table.apply({"params": p}) for p in layers]
  return [np.asarray(value)[-gh * gw :] for value in values]


def similarity(
  table: Float[np.ndarray, "patches D"], grid: tuple[int, int]
) -> Float64[np.ndarray, "gh gw gh gw"]:
  """Cosine similarity of every embedding to every other; 0 for zero vectors.

  Args:
    table: the embeddings in raster order.
    grid: (gh, gw).
  """
  table = table.astype(np.float64)
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  unit = table / np.where(norm > 0, norm, 1)
  return (unit @ unit.T).reshape(*grid, *grid)
