"""How far attention reaches, by layer and head (Figures 7 and 11)."""

from jaxtyping import Float, Float64
import numpy as np


def distances(
  grid: tuple[int, int], cell_px: tuple[float, float]
) -> Float64[np.ndarray, "patches patches"]:
  """Distances in px between the centres of all gh * gw patches.

  Args:
    grid: (gh, gw).
    cell_px: (height, width) of a patch in px.
  """
  y, x = np.mgrid[: grid[0], : grid[1]].reshape(2, -1)
  y, x = y * cell_px[0], x * cell_px[1]
  return np.hypot(y[:, None] - y, x[:, None] - x)


def mean_distance(
  attention: Float[np.ndarray, "L B H N N"],
  grid: tuple[int, int],
  cell_px: tuple[float, float],
) -> Float64[np.ndarray, "L B H"]:
  """Mean attention distance in px.

  Args:
    attention: weights of the keys (last axis) for each query; the last gh * gw
      tokens are the patches.
    grid: (gh, gw).
    cell_px: (height, width) of a patch in px.
  """
  first = attention.shape[-1] - grid[0] * grid[1]
  distance = distances(grid, cell_px)
  # Layer by layer, because float64 takes twice the memory of the weights.
  return np.stack(
    [
      (layer[..., first:, first:] * distance).sum(axis=-1).mean(axis=-1)
      for layer in attention
    ]
  )
