"""Convolutions with batch norm, and MobileNetV2's block of them."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import mesh as mesh_lib

_EVERY_AXIS = PartitionSpec(mesh_lib.AXES)


def batch_norm(train: bool, dtype: jnp.dtype, name: str) -> nn.BatchNorm:
  """Normalises by the batch's statistics, or by their running averages.

  The averages are variables of the collection "batch_stats"; statistics are
  float32, and of the global batch where it is split over devices. With
  microbatches each one is normalised by its own, and moves the averages.

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
  """A convolution without bias, batch norm, and SiLU if asked for.

  The input is padded with zeros on both sides alike, also with a stride, where
  "SAME" would put more at the end.

  Attributes:
    width: output channels.
    train: batch norm uses and updates statistics of the batch.
    kernel: side of the kernel.
    stride: of the convolution.
    depthwise: each channel on its own.
    activation: a SiLU follows.
    dtype: of the computation.
  """

  width: int
  train: bool
  kernel: int = 1
  stride: int = 1
  depthwise: bool = False
  activation: bool = True
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, c] to [B, ceil(h / stride), ceil(w / stride), width]."""
    side = "fan_in" if self.depthwise else "fan_out"
    # Where an axis holds copies, XLA (jaxlib 0.10.2) multiplies the gradient of
    # a depthwise kernel by their number: every axis takes its share of these.
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
  """Widens, convolves each channel on its own, and narrows again.

  The input is added where the shapes allow it. Source: arXiv:1801.04381, with
  SiLU as in arXiv:2110.02178.

  Attributes:
    width: output channels.
    expansion: inner channels over those of the input.
    stride: of the inner convolution.
    train: batch norm uses and updates statistics of the batch.
    dtype: of the computation.
  """

  width: int
  expansion: int
  stride: int
  train: bool
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, c] to [B, ceil(h / stride), ceil(w / stride), width]."""
    inner = x.shape[-1] * self.expansion
    conv: Any = functools.partial(ConvNorm, train=self.train, dtype=self.dtype)
    y = conv(inner, name="expand")(x)
    y = conv(inner, kernel=3, stride=self.stride, depthwise=True, name="depth")(
      y
    )
    y = conv(self.width, activation=False, name="project")(y)
    return x + y if y.shape == x.shape else y
