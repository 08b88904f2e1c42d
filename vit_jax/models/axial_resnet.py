"""AxialResNet: a ResNet whose 3 x 3 convolutions are axial attention.

Source: Appendix D.6 and Figure 13, arXiv:2010.11929, after arXiv:2003.07853.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from vit_jax.core import config as config_lib, errors
from vit_jax.models import base, bit
from vit_jax.nn import axial, checks, resnet

STACKED = bit.STACKED
STEM = bit.STEM

# Figure 13.
VARIANTS = {"R50": dict(depths=bit.DEPTHS["R50"])}


@dataclasses.dataclass(frozen=True)
class Config(bit.Stages):
  """An AxialResNet; the defaults are AxialResNet50.

  The paper only says that all 3 x 3 convolutions of a ResNet-50 become
  attention along rows and columns with relative positions. The ResNet here is
  the one of the paper's other rows, BiT's R50x1 (models/bit.py), with its
  units, norms and widths.

  Differs from Axial-ResNet of arXiv:2003.07853 in these, and as
  `nn.axial.RowAttention` says.

  Attributes: those of `bit.Stages`, and

    num_heads: H of every attention.
    standardization, root_padding: those of `bit.Config`, which are fixed here.
  """

  num_heads: int = 8
  standardization: ClassVar = "var + 1e-10"
  root_padding: ClassVar = "none"

  def __post_init__(self):
    super().__post_init__()
    width = resnet.root_width(self.width_factor)
    if self.num_heads < 1 or width % (2 * self.num_heads):
      raise errors.about(
        self,
        f"{{width_factor}} makes {width} channels, which must be a multiple of"
        " twice {num_heads}, whose queries have half the features of values",
      )


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant: "R50", changed by overrides."""
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> base.Rules:
  """Output channels are split over "fsdp".

  So the statistics of a kernel stay on one device.
  """
  layers = r"(root|stage\d+_unit\d+/(conv\w+|attention/(rows|columns)/qkv))"
  rule = (layers + "/kernel", PartitionSpec(None, None, None, "fsdp"))
  return [rule, *base.head_rules(config)]


class Model(bit.Model):
  """An AxialResNet: `bit.Model` with attention for 3 x 3 convolutions.

  Images have the size of the config, as each offset has parameters.

  Attributes: those of `bit.Model`.
  """

  config: Config  # type: ignore[assignment]

  def _checked(self, images: checks.Images) -> Float[Array, "B h w c"]:
    return checks.check_images(images, self.config.image_size)

  def _unit_conv(self, conv: resnet.Layer, norm: resnet.Layer) -> resnet.Layer:
    dtype = jnp.dtype(self.config.dtype)
    attend = functools.partial(
      axial.RowAttention, self.config.num_heads, conv, norm, dtype
    )
    return functools.partial(_layer, conv, attend)


def _layer(
  conv: resnet.Layer,
  attend: resnet.Layer,
  width: int,
  size: int,
  stride: int = 1,
  *,
  name: str,
) -> nn.Module:
  """Makes what a unit uses as a convolution of this size."""
  if size == 1:
    return conv(width, size, stride, name=name)
  return axial.GridAttention(stride, attend, name="attention")
