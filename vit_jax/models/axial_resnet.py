"""AxialResNet: a ResNet whose 3 x 3 convolutions are axial attention.

Source: Appendix D.6 and Figure 13, arXiv:2010.11929, after arXiv:2003.07853.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import config as config_lib, errors
from vit_jax.models import base, bit
from vit_jax.nn import axial, checks, resnet, stacking, std_convolution

# Parameters are not stored stacked: the first units differ in shape.
STACKED = ""
STEM = "root/kernel"

# Figure 13.
VARIANTS = {"R50": dict(depths=bit.DEPTHS["R50"])}


@dataclasses.dataclass(frozen=True)
class Config(base.CommonConfig):
  """An AxialResNet; the defaults are AxialResNet50.

  The paper only says that all 3 x 3 convolutions of a ResNet-50 become
  attention along rows and columns with relative positions. The ResNet here is
  the one of the paper's other rows, BiT's R50x1 (models/bit.py), with its
  units, norms and widths.

  Differs from Axial-ResNet of arXiv:2003.07853 in these, and as
  `nn.axial.RowAttention` says.

  Attributes: those of `base.CommonConfig`, and

    depths: units of each stage.
    width_factor: multiplies the channels of all layers.
    num_heads: H of every attention.
  """

  depths: tuple[int, ...] = (3, 4, 6, 3)
  width_factor: float = 1.0
  num_heads: int = 8

  def __post_init__(self):
    super().__post_init__()
    if min(self.depths, default=0) < 1:
      raise errors.about(
        self, "{depths} must be stages of at least 1 unit each"
      )
    resnet.check_width_factor("width_factor", self.width_factor)
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


class Model(nn.Module):
  """An AxialResNet.

  Attributes:
    config: what it computes.
    remat, unroll: speed knobs, see `base.ModelModule`. remat="dots" keeps the
      results of convolutions; loops are over the equal units of a stage.
  """

  config: Config
  remat: stacking.Remat = "none"
  unroll: int = 1

  @nn.compact
  def __call__(
    self, images: checks.Images, *, train: bool = False
  ) -> base.Outputs:
    """Represents and classifies images; see `models.base`.

    Their size is that of the config, as each offset has parameters.
    """
    del train  # Nothing is random.
    config = self.config
    images = checks.check_images(images, config.image_size)
    dtype = jnp.dtype(config.dtype)
    conv = functools.partial(
      std_convolution.StdConv,
      standardization="var + 1e-10",
      padding="symmetric",
      dtype=dtype,
    )
    norm = functools.partial(resnet.GroupNorm, dtype=dtype)
    attend = functools.partial(
      axial.RowAttention, config.num_heads, conv, norm, dtype
    )
    width = resnet.root_width(config.width_factor)
    x = conv(width, 7, 2, name="root")(images)
    padding = std_convolution.pads("symmetric", 3)
    x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=padding)
    unit = functools.partial(
      stacking.rematted(resnet.PreActivationUnit, self.remat),
      conv=functools.partial(_layer, conv, attend),
      norm=norm,
    )
    x = resnet.stages(self, unit, x, config.depths, width)
    x = nn.relu(norm(name="norm")(x))
    out = base.represent(x)
    if config.num_classes:
      out["logits"] = base.head(config)(out["pre_logits"])
    return out


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
