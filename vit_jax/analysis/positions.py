"""How alike the position embeddings are (Figures 7 and 10)."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Float64
import numpy as np

from vit_jax.core import tree
from vit_jax.models import vit
from vit_jax.nn import posemb


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

  The model is one for which `absent` is "".
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
