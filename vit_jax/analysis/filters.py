"""Principal components of the patch embedding's filters (Figure 7)."""

import numpy as np

from vit_jax.models import vit

COMPONENTS = 28
# What is done, and where it comes from.
CHOICES = (
  (
    f"The first {COMPONENTS} principal components of the D filters, each of"
    " which is an image of one patch; fewer where a patch has fewer numbers or"
    " the model fewer filters",
    "Figure 7, arXiv:2010.11929",
  ),
  (
    "The mean filter is subtracted before",
    "what principal components are; not in the paper",
  ),
  (
    "Each tile is scaled by its largest magnitude, so that 0 is mid-grey, and"
    " has the sign that makes this largest number positive",
    "not in the paper",
  ),
)


def absent(config: vit.Config, channels: int) -> str:
  """Why there are no filters of pixels to show, or "".

  Args:
    config: of the model.
    channels: of the patch embedding's kernel.
  """
  if type(config) is not vit.Config:
    return (
      "The patches of a hybrid are of its ResNet's feature map, not of pixels:"
      f" a filter has {channels:,} channels and no colours."
    )
  if channels not in (1, 3):
    return f"Filters of {channels} channels have no colours."
  return ""


def components(
  kernel: np.ndarray, count: int = COMPONENTS
) -> tuple[np.ndarray, np.ndarray]:
  """Principal components of filters, the largest first.

  Args:
    kernel: [ph, pw, c, D].
    count: of components, at most.

  Returns:
    [n, ph, pw, c], float64, unit vectors whose largest number is positive; and
    the share [n] of the filters' variance that lies along each.
  """
  *shape, width = kernel.shape
  filters = kernel.reshape(-1, width).T.astype(np.float64)
  filters -= filters.mean(axis=0)
  _, scale, vectors = np.linalg.svd(filters, full_matrices=False)
  # Subtracting the mean takes one dimension away where filters are few.
  n = min(count, filters.shape[1], max(width - 1, 1))
  vectors = vectors[:n]
  largest = np.abs(vectors).argmax(axis=1)[:, None]
  vectors = vectors * np.sign(np.take_along_axis(vectors, largest, axis=1))
  variance = scale**2
  share = variance[:n] / (variance.sum() or 1.0)
  return vectors.reshape(n, *shape), share


def shown(components: np.ndarray) -> np.ndarray:
  """Components [n, ph, pw, c] as uint8 images: 0 is mid-grey."""
  largest = np.abs(components).max(axis=(1, 2, 3), keepdims=True)
  return np.rint((components / largest + 1) * 127.5).astype(np.uint8)
