"""Attention rollout: which patches reach the output (Figures 6 and 14)."""

import cv2
import numpy as np

# What is done, and where it comes from.
CHOICES = (
  (
    "The attention weights of a layer are the mean over its heads",
    "Appendix D.8, arXiv:2010.11929",
  ),
  (
    "Every layer's matrix is 0.5 of them and 0.5 of the identity, which stands"
    " for the residual connection; rows are divided by their sum",
    "Section 3, arXiv:2005.00928; the paper's authors say that the identity is"
    " added (google-research/vision_transformer, issue 18)",
  ),
  (
    "The layers' matrices are multiplied from the first layer up",
    "Section 3, arXiv:2005.00928; Appendix D.8, arXiv:2010.11929",
  ),
  (
    "The map is divided by its maximum, enlarged to the image with Lanczos'"
    " filter, blurred with a Gaussian whose deviation is the patch size, spread"
    " from 0 to 1, and is the image's opacity before black",
    "the authors' code, google-research/vision_transformer, issue 27; there"
    " the map was rounded to 8 bits in between",
  ),
)
# Whose rows of the rollout are shown, by `vit.Config.pool`.
ROWS = {
  "token": (
    "The row of the class token, without its own entry",
    "the authors' code, google-research/vision_transformer, issue 27",
  ),
  "gap": (
    "The mean of all rows, as the head sees the mean of all tokens",
    "not in the paper, whose models there have a class token",
  ),
  "patches": (
    "The mean of the patches' rows, as the head sees their mean, without the"
    " class token's entry",
    "not in the paper, whose models there have a class token",
  ),
  "map": (
    "All rows, weighted by the attention of the pooling's probe (mean over its"
    " heads), which has no residual connection",
    "not in the paper, whose models there have a class token",
  ),
}


def rollout(attention: np.ndarray) -> np.ndarray:
  """How much of each token is in each token of the last layer.

  Args:
    attention: [L, B, H, N, N], weights of the keys (last axis) for each query.

  Returns:
    [B, N, N], float64; each row sums to 1.
  """
  own = np.eye(attention.shape[-1])
  total = own
  for layer in attention:
    mixed = 0.5 * layer.mean(axis=1, dtype=np.float64) + 0.5 * own
    # The weights are float32 and sum to one as nearly as that allows.
    mixed /= mixed.sum(axis=-1, keepdims=True)
    total = mixed @ total
  return total


def relevance(
  rolled: np.ndarray,
  grid: tuple[int, int],
  pool: str,
  pool_attention: np.ndarray | None = None,
) -> np.ndarray:
  """How much of each patch is in what represents the image: [B, gh, gw].

  Args:
    rolled: [B, N, N], what `rollout` returns; the last gh * gw tokens are the
      patches.
    grid: (gh, gw).
    pool: of the model, a key of `ROWS`.
    pool_attention: [B, H, N], the probe's attention weights of a "map" model.
  """
  own = rolled.shape[-1] - grid[0] * grid[1]
  if pool == "token":
    row = rolled[:, 0]
  elif pool == "map":
    probe = pool_attention.mean(axis=1, dtype=np.float64, keepdims=True)
    row = (probe @ rolled)[:, 0]
  else:
    row = rolled[:, own:].mean(axis=1)
  return row[:, own:].reshape(-1, *grid)


def opacity(
  relevance: np.ndarray, size: tuple[int, int], cell_px: tuple[float, float]
) -> np.ndarray:
  """A map of the patches as one of pixels: [h, w], from 0 to 1.

  A map that is the same everywhere becomes 1 everywhere.

  Args:
    relevance: [gh, gw], not negative.
    size: (h, w) in px.
    cell_px: (height, width) of a patch in px, the blur's deviation.
  """
  (h, w), (down, right) = size, cell_px
  mask = relevance / relevance.max()
  mask = _lanczos(len(mask), h) @ mask @ _lanczos(mask.shape[1], w).T
  mask = cv2.GaussianBlur(
    mask, (0, 0), right, sigmaY=down, borderType=cv2.BORDER_REPLICATE
  )
  low, high = mask.min(), mask.max()
  # What rounding leaves of an even map must not be spread to black and white.
  if high - low < 1e-9:
    return np.ones_like(mask)
  return (mask - low) / (high - low)


def _lanczos(old: int, new: int) -> np.ndarray:
  """[new, old] weights of Lanczos' filter of 3 lobes, for new >= old.

  As Pillow's LANCZOS, which the authors used; OpenCV's has 4 lobes.
  """
  at = (np.arange(new) + 0.5) * old / new - 0.5
  far = at[:, None] - np.arange(old)
  weights = np.where(np.abs(far) < 3, np.sinc(far) * np.sinc(far / 3), 0)
  return weights / weights.sum(axis=1, keepdims=True)


def overlay(image: np.ndarray, opacity: np.ndarray) -> np.ndarray:
  """The image before black: [h, w, c], uint8.

  Args:
    image: [h, w, c], uint8.
    opacity: [h, w], from 0 to 1.
  """
  return np.rint(image * opacity[..., None]).astype(np.uint8)
