"""Checks of images."""

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from vit_jax.core import errors

# What models are called with; `check_images` says which are refused.
Images = Array | np.ndarray


def check_images(
  images: Images, image_size: tuple[int, int] | None = None
) -> Float[Array, "B h w c"]:
  """The images, which must be floats [B, h, w, c], of this size if given.

  Raises:
    ConfigError: the images have another shape.
    TypeError: the images are not of a floating type.
  """
  if not jnp.issubdtype(images.dtype, jnp.floating):
    raise TypeError(f"images are {images.dtype}; scale them to floats first")
  if images.ndim != 4:
    raise errors.ConfigError(
      f"images of shape {images.shape} are not [B, h, w, c]"
    )
  if image_size and images.shape[1:3] != image_size:
    raise errors.ConfigError(
      f"images of shape {images.shape} do not fit {{image_size}}, which wants"
      " [B, h, w, c]; resize the images, or change it",
      {"image_size": image_size},
    )
  return jnp.asarray(images)
