"""Position embeddings for images of another size."""

import math

import jax
from jaxtyping import Array, Float
import numpy as np

Size = tuple[int, int]


def of_name(
  name: str,
  value: Float[np.ndarray, "*batch N D"],
  old: Size,
  new: Size,
  method: str,
) -> Float[np.ndarray, "*batch M D"]:
  """A parameter of position embeddings, resized from one grid to another.

  Args:
    name: name of the parameter. One that does not end in table, columns or
      rows is returned as it is.
    value: its rows that precede those of the patches are kept.
    old: (gh, gw) that the parameter is for.
    new: (gh, gw) of the result.
    method: see `resize`.
  """
  (gh, gw), (new_gh, new_gw) = old, new
  part = name.rsplit("/", 1)[-1]
  if part == "columns":
    return np.asarray(resize(value, (1, gw), (1, new_gw), method))
  if part == "rows":
    return np.asarray(resize(value, (gh, 1), (new_gh, 1), method))
  if part != "table":
    return value
  first = value.shape[-2] - gh * gw
  patches = resize(value[..., first:, :], old, new, method)
  return np.concatenate([value[..., :first, :], patches], axis=-2)


def resize(
  table: Float[Array, "*batch N D"] | Float[np.ndarray, "*batch N D"],
  old: Size,
  new: Size,
  method: str,
) -> Float[Array, "*batch M D"] | Float[np.ndarray, "*batch M D"]:
  """Position embeddings of patches, resized from one grid to another.

  Args:
    table: one vector for each patch, in raster order.
    old: (gh, gw) of the table.
    new: (gh, gw) of the result.
    method: "linear" keeps the outermost embeddings in place, as google-
      research's vision_transformer does with scipy.ndimage.zoom, and is done
      by NumPy; "bicubic" keeps the places of the pixels and antialiases, as
      timm does, and can be traced and differentiated by JAX;
      "bicubic_no_antialias" is transformers' (PyTorch's cubic with a = -0.75),
      done by NumPy.
  """
  *batch, _, width = table.shape
  grid = table.reshape(-1, *old, width)
  if method in _WEIGHTS:
    weights = _WEIGHTS[method]
    rows, columns = (weights(a, b) for a, b in zip(old, new, strict=True))
    grid = np.einsum("Yy,Xx,byxd->bYXd", rows, columns, grid, optimize=True)
  else:
    shape = (grid.shape[0], *new, width)
    grid = jax.image.resize(grid, shape, "cubic", antialias=True)
  return grid.reshape(*batch, math.prod(new), width).astype(table.dtype)


def _linear(old: int, new: int) -> Float[np.ndarray, "{new} {old}"]:
  """Weights of linear interpolation between aligned ends."""
  at = np.arange(new) * ((old - 1) / max(new - 1, 1))
  return np.maximum(1 - np.abs(at[:, None] - np.arange(old)), 0)


def _cubic(old: int, new: int) -> Float[np.ndarray, "{new} {old}"]:
  """Weights of cubic interpolation between the centres of pixels."""
  a = -0.75
  at = (np.arange(new) + 0.5) * (old / new) - 0.5
  taps = np.floor(at)[:, None] + np.arange(-1, 3)
  t = np.abs(at[:, None] - taps)
  near = ((a + 2) * t - (a + 3)) * t * t + 1
  far = ((t - 5) * t + 8) * t * a - 4 * a
  weights = np.zeros((new, old))
  # Beyond the border the outermost embedding goes on.
  places = np.clip(taps, 0, old - 1).astype(int)
  np.add.at(
    weights, (np.arange(new)[:, None], places), np.where(t < 1, near, far)
  )
  return weights


_WEIGHTS = {"linear": _linear, "bicubic_no_antialias": _cubic}
METHODS = ("bicubic", *_WEIGHTS)
