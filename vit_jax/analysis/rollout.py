"""Attention rollout: which patches reach the output (Figures 6 and 14)."""

import cv2
from jaxtyping import Float, Float64, UInt8
import numpy as np


def rollout(
  attention: Float[np.ndarray, "L B H N N"],
) -> Float64[np.ndarray, "B N N"]:
  """How much of each input token is in each token of the last layer.

  Args:
    attention: weights of the keys (last axis) for each query.

  Returns:
    Shares of the input tokens (last axis); each row sums to 1.
  """
  identity = np.eye(attention.shape[-1])
  total = identity
  for layer in attention:
    mixed = 0.5 * layer.mean(axis=1, dtype=np.float64) + 0.5 * identity
    # Weights in float32 do not sum to one exactly.
    mixed /= mixed.sum(axis=-1, keepdims=True)
    total = mixed @ total
  return total


def relevance(
  rolled: Float64[np.ndarray, "B N N"],
  grid: tuple[int, int],
  pool: str,
  pool_attention: Float[np.ndarray, "B H N"] | None = None,
) -> Float64[np.ndarray, "B gh gw"]:
  """How much of each patch is in the representation of the image.

  Args:
    rolled: result of `rollout`; the last gh * gw tokens are the patches.
    grid: (gh, gw).
    pool: the model's pooling.
    pool_attention: attention weights of the probe, for "map" only.
  """
  first = rolled.shape[-1] - grid[0] * grid[1]
  if pool == "token":
    row = rolled[:, 0]
  elif pool == "map":
    assert pool_attention is not None
    probe = pool_attention.mean(axis=1, dtype=np.float64, keepdims=True)
    row = (probe @ rolled)[:, 0]
  else:
    row = rolled[:, first:].mean(axis=1)
  return row[:, first:].reshape(-1, *grid)


def opacity(
  relevance: Float64[np.ndarray, "gh gw"],
  size: tuple[int, int],
  cell_px: tuple[float, float],
) -> Float64[np.ndarray, "h w"]:
  """Turns a map of the patches into one of the pixels, from 0 to 1.

  A map that is the same everywhere becomes 1 everywhere.

  Args:
    relevance: not negative.
    size: (h, w) in px.
    cell_px: (height, width) of a patch in px, the deviation of the blur.
  """
  (h, w), (down, right) = size, cell_px
  mask = relevance / relevance.max()
  mask = _lanczos(len(mask), h) @ mask @ _lanczos(mask.shape[1], w).T
  mask = cv2.GaussianBlur(
    mask, (0, 0), right, sigmaY=down, borderType=cv2.BORDER_REPLICATE
  )
  low, high = mask.min(), mask.max()
  # Rounding errors of an even map must not be spread to black and white.
  if high - low < 1e-9:
    return np.ones_like(mask)
  return (mask - low) / (high - low)


def _lanczos(old: int, new: int) -> Float64[np.ndarray, "new old"]:
  """Weights that enlarge by Lanczos' filter of 3 lobes.

  Like Pillow's LANCZOS, which the authors used; OpenCV's has 4 lobes.
  """
  at = (np.arange(new) + 0.5) * old / new - 0.5
  far = at[:, None] - np.arange(old)
  weights = np.where(np.abs(far) < 3, np.sinc(far) * np.sinc(far / 3), 0)
  return weights / weights.sum(axis=1, keepdims=True)


def overlay(
  image: UInt8[np.ndarray, "h w c"], opacity: Float[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w c"]:
  """The image on black, with an opacity from 0 to 1."""
  return np.rint(image * opacity[..., None]).astype(np.uint8)
