"""Convolutions with standardised kernels (arXiv:1903.10520)."""

from typing import Any, Literal

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Standardization = Literal["std + 1e-5", "var + 1e-10", "var + 1e-8"]
Padding = Literal["same", "symmetric"]

# The divisor of a kernel as a function of its variance. Published weights need
# the form that they were trained with: the first is that of google-research's
# vision_transformer, the second that of big_transfer and big_vision, the third
# timm's.
_DIVISORS = {
  "std + 1e-5": lambda variance: jnp.sqrt(variance) + 1e-5,
  "var + 1e-10": lambda variance: jnp.sqrt(variance + 1e-10),
  "var + 1e-8": lambda variance: jnp.sqrt(variance + 1e-8),
}
# The name of the array that is worth keeping for the backward pass.
KEPT = "convolved"


def standardize(
  kernel: Float[Array, "h w in out"], form: Standardization
) -> Float[Array, "h w in out"]:
  """Gives each output channel a mean of 0 and a standard deviation of 1."""
  axes = (0, 1, 2)
  centred = kernel - jnp.mean(kernel, axes, keepdims=True)
  variance = jnp.mean(jnp.square(centred), axes, keepdims=True)
  # Without the barrier XLA multiplies by a reciprocal root, whose last digits
  # are wrong: an error in a kernel adds up over inputs that are all positive.
  divisor = jax.lax.optimization_barrier(_DIVISORS[form](variance))
  return centred / divisor


def pads(padding: Padding, size: int) -> Any:
  """The padding of a window of `size` x `size`, in the form that JAX takes.

  With a stride of 2 the two kinds differ for even images: "same" pads less
  before the image than after it, "symmetric" equally on all sides.
  """
  return "SAME" if padding == "same" else [(size // 2, size // 2)] * 2


class StdConv(nn.Module):
  """A convolution with a standardised kernel and without a bias.

  Attributes:
    features: output channels.
    size: side of the kernel.
    stride: stride in both directions.
    standardization: form of the standardisation, which is done in float32.
    padding: where zeros are added; see `pads`.
    dtype: type of the computation.
  """

  features: int
  size: int
  stride: int = 1
  standardization: Standardization = "std + 1e-5"
  padding: Padding = "same"
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "B h w c"]
  ) -> Float[Array, "B _ _ {self.features}"]:
    """Returns a map of h / stride x w / stride, rounded up."""
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
