"""How far attention reaches, by layer and head (Figures 7 and 11)."""

from jaxtyping import Float, Float64
import numpy as np

# What is done, and the source of each choice.
CHOICES = (
  (
    "The distance from a query patch to every key patch, weighted by the"
    " attention weights, then the mean over the query patches and the images",
    "Figures 7 and 11 and Appendix D.7, arXiv:2010.11929",
  ),
  (
    "Distances are Euclidean, between the patches' centres, in pixels of the"
    " image that the model sees",
    "the paper says distance only; as in the public implementations, such as"
    " Keras's example probing_vits",
  ),
  (
    "The class token is left out as query and as key, and what is left of a"
    " row is not scaled to one again: attention paid to the class token counts"
    " as a distance of zero",
    "not in the paper; as in the same public implementations",
  ),
)


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
