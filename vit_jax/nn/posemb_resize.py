"""Position embeddings for images of another size."""

import math

import jax
import numpy as np


def of_name(
  name: str,
  value: np.ndarray,
  old: tuple[int, int],
  new: tuple[int, int],
  method: str,
) -> np.ndarray:
  """Position embeddings [..., N, D] of one grid for another.

  Args:
    name: of the parameter, which ends in table, columns or rows; others stay.
    value: the embeddings; rows before those of the patches stay.
    old: (gh, gw).
    new: (gh, gw) of the result.
    method: see `resize`.
  """
  (gh, gw), (new_gh, new_gw) = old, new
  part = name.rsplit("/", 1)[-1]
  if part == "columns":
    return resize(value, (1, gw), (1, new_gw), method)
  if part == "rows":
    return resize(value, (gh, 1), (new_gh, 1), method)
  if part != "table":
    return value
  own = value.shape[-2] - gh * gw
  patches = resize(value[..., own:, :], old, new, method)
  return np.concatenate([value[..., :own, :], patches], axis=-2)


def resize(
  table: np.ndarray,
  old: tuple[int, int],
  new: tuple[int, int],
  method: str,
) -> np.ndarray:
  """Position embeddings of the patches of another grid.

  Args:
    table: [..., gh * gw, D], the last axes in raster order.
    old: (gh, gw).
    new: (gh, gw) of the result.
    method: "linear" puts the outermost embeddings in the same place, as
      google-research's vision_transformer does with scipy.ndimage.zoom;
      "bicubic" keeps the pixels' places and antialiases, as timm does.
  """
  *batch, _, width = table.shape
  grid = table.reshape(-1, *old, width)
  if method == "linear":
    rows, columns = (_linear(a, b) for a, b in zip(old, new, strict=True))
    grid = np.einsum("Yy,Xx,byxd->bYXd", rows, columns, grid, optimize=True)
  else:
    shape = (grid.shape[0], *new, width)
    grid = np.asarray(jax.image.resize(grid, shape, "cubic", antialias=True))
  return grid.reshape(*batch, math.prod(new), width).astype(table.dtype)


def _linear(old: int, new: int) -> np.ndarray:
  """[new, old] weights of linear interpolation between aligned ends."""
  at = np.arange(new) * ((old - 1) / max(new - 1, 1))
  return np.maximum(1 - np.abs(at[:, None] - np.arange(old)), 0)
