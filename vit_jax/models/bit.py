"""BiT: ResNet-v2 with GroupNorm and standardised convolutions.

Source: arXiv:1912.11370.
"""

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from vit_jax.core import config as config_lib, errors
from vit_jax.models import base
from vit_jax.nn import checks, resnet, stacking, std_convolution

# Parameters are not stored stacked: the first units differ in shape.
STACKED = ""
STEM = "root/kernel"

# Units of each stage, Table 1 of arXiv:1512.03385 and, for R200, of
# arXiv:1603.05027. Widths x1 to x4: Section 3.2, arXiv:1912.11370 and Table 6,
# arXiv:2010.11929.
DEPTHS = {
  "R50": (3, 4, 6, 3),
  "R101": (3, 4, 23, 3),
  "R152": (3, 8, 36, 3),
  "R200": (3, 24, 36, 3),
}
VARIANTS = {
  f"{name}x{factor}": dict(depths=depths, width_factor=float(factor))
  for name, depths in DEPTHS.items()
  for factor in (1, 2, 3, 4)
}


@dataclasses.dataclass(frozen=True)
class Stages(base.CommonConfig):
  """The fields of a ResNet; the defaults are R50x1.

  Attributes: those of `base.CommonConfig`, and

    depths: units of each stage.
    width_factor: multiplies the channels of all layers.
  """

  depths: tuple[int, ...] = (3, 4, 6, 3)
  width_factor: float = 1.0

  def __post_init__(self):
    super().__post_init__()
    if min(self.depths, default=0) < 1:
      raise errors.about(
        self, "{depths} must be stages of at least 1 unit each"
      )
    resnet.check_width_factor("width_factor", self.width_factor)


@dataclasses.dataclass(frozen=True)
class Config(Stages):
  """A BiT ResNet; the defaults are R50x1.

  Attributes: those of `Stages`, and

    standardization: what kernels are divided by; the default is that of
      big_transfer and big_vision, "var + 1e-8" is timm's.
    root_padding: how the max-pooling after the first convolution pads its
      input: not at all, as in big_vision, or with zeros, as in big_transfer
      and timm.
  """

  standardization: std_convolution.Standardization = "var + 1e-10"
  root_padding: Literal["none", "zeros"] = "none"


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "R50x1", changed by overrides."""
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> base.Rules:
  """Output channels are split over "fsdp".

  So the statistics of a kernel stay on one device.
  """
  kernels = r"(root|stage\d+_unit\d+/conv\w+)/kernel"
  rule = (kernels, PartitionSpec(None, None, None, "fsdp"))
  return [rule, *base.head_rules(config)]


class Model(nn.Module):
  """A BiT ResNet.

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
    """Represents and classifies images of any size; see `models.base`."""
    del train  # Nothing is random.
    config = self.config
    images = self._checked(images)
    dtype = jnp.dtype(config.dtype)
    conv = functools.partial(
      std_convolution.StdConv,
      standardization=config.standardization,
      padding="symmetric",
      dtype=dtype,
    )
    norm = functools.partial(resnet.GroupNorm, dtype=dtype)
    width = resnet.root_width(config.width_factor)
    x = self._pool(conv(width, 7, 2, name="root")(images))
    unit = functools.partial(
      stacking.rematted(resnet.PreActivationUnit, self.remat),
      conv=self._unit_conv(conv, norm),
      norm=norm,
    )
    x = resnet.stages(self, unit, x, config.depths, width)
    x = nn.relu(norm(name="norm")(x))
    return base.outputs(config, x)

  def _checked(self, images: checks.Images) -> Float[Array, "B h w c"]:
    return checks.check_images(images)

  def _unit_conv(self, conv: resnet.Layer, norm: resnet.Layer) -> resnet.Layer:
    """What makes the convolutions of a unit, from the plain ones."""
    del norm
    return conv

  def _pool(self, x: Float[Array, "B h w c"]) -> Float[Array, "B _ _ c"]:
    """Max-pooling, 3 x 3 with a stride of 2."""
    padding = std_convolution.pads("symmetric", 3)
    if self.config.root_padding == "zeros":
      x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
      padding = "VALID"
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=padding)
