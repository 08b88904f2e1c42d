"""Convolutions with batch norm, and MobileNetV2's block of them."""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.core import mesh as mesh_lib

_EVERY_AXIS = PartitionSpec(mesh_lib.AXES)


def batch_norm(train: bool, dtype: DTypeLike, name: str | None) -> nn.BatchNorm:
  """Normalises by the statistics of the batch, or by their running averages.

  The averages are variables of the collection "batch_stats". Statistics are
  float32, and they are those of the global batch where it is split over
  devices. Each microbatch is normalised by its own statistics and updates the
  averages.

  Differs from PyTorch's, which averages the unbiased variance.
  """
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=0.9,
    epsilon=1e-5,
    dtype=dtype,
    name=name,
  )


class ConvNorm(nn.Module):
  """A convolution without bias, batch norm, and a SiLU unless switched off.

  Both sides get equally many zeros as padding, also with a stride, where
  "SAME" would put more of them at the end.

  Attributes:
    width: output channels.
    train: whether batch norm uses and updates statistics of the batch.
    kernel: side of the kernel.
    stride: stride of the convolution.
    depthwise: whether each channel is convolved by itself.
    activation: whether a SiLU follows.
    dtype: type of the computation.
  """

  width: int
  train: bool
  kernel: int = 1
  stride: int = 1
  depthwise: bool = False
  activation: bool = True
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "B h w c"]
  ) -> Float[Array, "B _ _ {self.width}"]:
    """Returns a map of h / stride x w / stride, rounded up."""
    side = "fan_in" if self.depthwise else "fan_out"
    # Where devices along an axis hold copies, XLA (jaxlib 0.10.2) multiplies
    # the gradient of a depthwise kernel by their number. So the batch is split
    # over every axis here.
    axes = _EVERY_AXIS if self.depthwise else mesh_lib.BATCH
    x = nn.Conv(
      self.width,
      (self.kernel, self.kernel),
      self.stride,
      padding=self.kernel // 2,
      feature_group_count=self.width if self.depthwise else 1,
      use_bias=False,
      kernel_init=nn.initializers.variance_scaling(2.0, side, "normal"),
      dtype=self.dtype,
      name="conv",
    )(mesh_lib.split_batch(x, axes))
    x = mesh_lib.split_batch(x, axes)
    x = batch_norm(self.train, self.dtype, "norm")(x)
    return nn.silu(x) if self.activation else x


class InvertedResidual(nn.Module):
  """Widens, convolves each channel by itself, and narrows again.

  The input is added where the shapes allow it. Source: arXiv:1801.04381, with
  SiLU as in arXiv:2110.02178.

  Attributes:
    width: output channels.
    expansion: inner channels for each channel of the input.
    stride: stride of the inner convolution.
    train: whether batch norm uses and updates statistics of the batch.
    dtype: type of the computation.
  """

  width: int
  expansion: int
  stride: int
  train: bool
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "B h w c"]
  ) -> Float[Array, "B _ _ {self.width}"]:
    """Returns a map of h / stride x w / stride, rounded up."""
    inner = x.shape[-1] * self.expansion
    conv: Any = functools.partial(ConvNorm, train=self.train, dtype=self.dtype)
    y = conv(inner, name="expand")(x)
    y = conv(inner, kernel=3, stride=self.stride, depthwise=True, name="depth")(
      y
    )
    y = conv(self.width, activation=False, name="project")(y)
    return x + y if y.shape == x.shape else y
