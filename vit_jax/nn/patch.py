"""Patch embedding: one linear projection of every patch of an image."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class PatchEmbedding(nn.Module):
  """Projects non-overlapping patches to D features.

  A convolution with a stride of the patch size, written as one matmul; the
  kernel [P, P, c, D] and its initialisation are the convolution's.

  Attributes:
    width: D.
    patch_size: (height, width) of a patch in px.
    dtype: type of the computation.
  """

  width: int
  patch_size: tuple[int, int]
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, images: Float[Array, "B h w c"]
  ) -> Float[Array, "B gh gw D"]:
    """Embeds every patch; h and w are multiples of the patch size."""
    ph, pw = self.patch_size
    b, h, w, c = images.shape
    kernel = self.param(
      "kernel", nn.initializers.lecun_normal(), (ph, pw, c, self.width)
    )
    bias = self.param("bias", nn.initializers.zeros, (self.width,))
    x = images.astype(self.dtype).reshape(b, h // ph, ph, w // pw, pw, c)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // ph, w // pw, ph * pw * c)
    x = x @ kernel.astype(self.dtype).reshape(ph * pw * c, self.width)
    return x + bias.astype(self.dtype)[None, None, None]
