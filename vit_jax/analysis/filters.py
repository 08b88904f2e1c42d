"""Principal components of the patch embedding's filters (Figure 7)."""

from jaxtyping import Float, Float64, UInt8
import numpy as np

from vit_jax.models import vit

# As in Figure 7, arXiv:2010.11929.
COMPONENTS = 28


def absent(config: vit.Config, channels: int) -> str:
  """Why filters of so many channels are not shown as pixels; "" if they are."""
  if type(config) is not vit.Config:
    return (
      "The patches of a hybrid are of its ResNet's feature map, not of pixels:"
      f" a filter has {channels:,} channels and no colours."
    )
  if channels not in (1, 3):
    return f"Filters of {channels} channels have no colours."
  return ""


def components(
  kernel: Float[np.ndarray, "ph pw c D"], count: int = COMPONENTS
) -> tuple[Float64[np.ndarray, "n ph pw c"], Float64[np.ndarray, " n"]]:
  """Principal components of filters, the largest first.

  Args:
    kernel: the D filters.
    count: number of components, at most.

  Returns:
    Unit vectors whose number of largest magnitude is positive; and the share of
    the filters' variance along each.
  """
  *shape, width = kernel.shape
  filters = kernel.reshape(-1, width).T.astype(np.float64)
  filters -= filters.mean(axis=0)
  _, scale, vectors = np.linalg.svd(filters, full_matrices=False)
  # Without their mean, D filters span D - 1 dimensions at most.
  n = min(count, filters.shape[1], max(width - 1, 1))
  vectors = vectors[:n]
  largest = np.abs(vectors).argmax(axis=1)[:, None]
  vectors = vectors * np.sign(np.take_along_axis(vectors, largest, axis=1))
  variance = scale**2
  share = variance[:n] / (variance.sum() or 1.0)
  return vectors.reshape(n, *shape), share


def shown(
  components: Float[np.ndarray, "n ph pw c"],
) -> UInt8[np.ndarray, "n ph pw c"]:
  """Components as images, where mid-grey is 0."""
  largest = np.abs(components).max(axis=(1, 2, 3), keepdims=True)
  return np.rint((components / largest + 1) * 127.5).astype(np.uint8)
