"""Convolutions with standardised kernels (arXiv:1903.10520)."""

from typing import Literal

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

Standardization = Literal["std + 1e-5", "var + 1e-10", "var + 1e-8"]
Padding = Literal["same", "symmetric"]

# What a kernel is divided by, from its variance. Published weights need the
# form that they were trained with: that of google-research's
# vision_transformer, that of big_transfer and big_vision, and timm's.
_DIVISORS = {
  "std + 1e-5": lambda variance: jnp.sqrt(variance) + 1e-5,
  "var + 1e-10": lambda variance: jnp.sqrt(variance + 1e-10),
  "var + 1e-8": lambda variance: jnp.sqrt(variance + 1e-8),
}
# The name of what is worth keeping for the backward pass.
KEPT = "convolved"


def standardize(kernel: jax.Array, form: Standardization) -> jax.Array:
  """Each output channel with a mean of 0 and a standard deviation of 1.

  Args:
    kernel: [h, w, input channels, output channels].
    form: what it is divided by.
  """
  axes = (0, 1, 2)
  centred = kernel - jnp.mean(kernel, axes, keepdims=True)
  variance = jnp.mean(jnp.square(centred), axes, keepdims=True)
  # Else XLA multiplies by a reciprocal root, whose last digits are wrong: an
  # error in a kernel adds up over inputs that are all positive.
  divisor = jax.lax.optimization_barrier(_DIVISORS[form](variance))
  return centred / divisor


def pads(padding: Padding, size: int) -> str | list[tuple[int, int]]:
  """The padding of a window of `size` x `size`, as JAX wants it.

  With a stride of 2 the two differ for even images: "same" puts less before
  the image than behind it, "symmetric" the same on all sides.
  """
  return "SAME" if padding == "same" else [(size // 2, size // 2)] * 2


class StdConv(nn.Module):
  """A convolution with a standardised kernel and without a bias.

  Attributes:
    features: output channels.
    size: side of the kernel.
    stride: in both directions.
    standardization: form of the standardisation, which is done in float32.
    padding: where the zeros go.
    dtype: of the computation.
  """

  features: int
  size: int
  stride: int = 1
  standardization: Standardization = "std + 1e-5"
  padding: Padding = "same"
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, channels] to [B, h / stride, w / stride, features]."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    y = jax.lax.conv_general_dilated(
      x.astype(self.dtype),
      standardize(kernel, self.standardization).astype(self.dtype),
      window_strides=(self.stride, self.stride),
      padding=pads(self.padding, self.size),
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return checkpoint_name(y, KEPT)
