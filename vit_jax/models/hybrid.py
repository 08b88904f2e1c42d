"""Hybrids: a Vision Transformer over the feature map of a ResNet.

Source: Section 3.1, arXiv:2010.11929, and Section 3.2, arXiv:2106.10270.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from vit_jax.core import config as config_lib, errors
from vit_jax.models import base, vit
from vit_jax.nn import resnet, std_convolution

STACKED = vit.STACKED
STEM = "resnet/conv_root/kernel"

# Units of each stage of the ResNet. Section 4.1, arXiv:2010.11929, has two
# forms of R50: all four stages, which divide the image by 32; or no stage 4,
# but as many layers more in stage 3, which divide it by 16. R26, and the root
# alone: Section 3.2, arXiv:2106.10270.
_R50 = dict(resnet_depths=(3, 4, 6, 3), patch_size=(1, 1))
_R50_STAGE_3 = dict(resnet_depths=(3, 4, 9), patch_size=(1, 1))
_R26 = dict(resnet_depths=(2, 2, 2, 2), patch_size=(1, 1))
# The root divides the image by 4 and patches of 8 x 8 follow: what was
# published as /16 has as many tokens as a /32.
_ROOT = dict(resnet_depths=(), patch_size=(8, 8))

# R50: Table 6, arXiv:2010.11929. R+Ti/16, R26+S/32, R50+L/32: Section 3.2,
# arXiv:2106.10270. R26+B/32: google-research's vision_transformer.
VARIANTS = {
  "R+Ti/16": {**vit.VARIANTS["Ti"], **_ROOT},
  "R26+S/32": {**vit.VARIANTS["S"], **_R26},
  "R26+B/32": {**vit.VARIANTS["B"], **_R26},
  "R50+B/32": {**vit.VARIANTS["B"], **_R50},
  "R50+B/16": {**vit.VARIANTS["B"], **_R50_STAGE_3},
  "R50+L/32": {**vit.VARIANTS["L"], **_R50},
  "R50+L/16": {**vit.VARIANTS["L"], **_R50_STAGE_3},
}


@dataclasses.dataclass(frozen=True)
class Config(vit.Config):
  """A hybrid; the defaults are R50+ViT-B/16.

  Attributes: those of `vit.Config`, and

    patch_size: (height, width) in pixels of the ResNet's feature map.
    resnet_depths: units of each stage of the ResNet; () is its root alone.
    resnet_width_factor: multiplies the channels of the ResNet.
    standardization: what the ResNet's kernels are divided by; the default is
      that of google-research's vision_transformer, "var + 1e-8" is timm's.
    group_norm_epsilon: epsilon of the ResNet's norms; 1e-5 in timm.
  """

  patch_size: tuple[int, int] = (1, 1)
  resnet_depths: tuple[int, ...] = (3, 4, 9)
  resnet_width_factor: float = 1.0
  standardization: std_convolution.Standardization = "std + 1e-5"
  group_norm_epsilon: float = 1e-6

  @property
  def stride(self) -> int:
    """Pixels of the image for each pixel of the feature map, on each axis."""
    return 4 * 2 ** max(len(self.resnet_depths) - 1, 0)

  @property
  def feature_map(self) -> tuple[int, int]:
    """(h, w) of the feature map of the ResNet, which pads the image."""
    h, w = self.image_size
    return -(-h // self.stride), -(-w // self.stride)

  @property
  def grid(self) -> tuple[int, int]:
    """(gh, gw), the number of patches along each axis."""
    (h, w), (ph, pw) = self.feature_map, self.patch_size
    return h // ph, w // pw

  def __post_init__(self):
    if min(self.resnet_depths, default=1) < 1:
      raise errors.about(
        self, "{resnet_depths} must be stages of at least 1 unit each"
      )
    resnet.check_width_factor("resnet_width_factor", self.resnet_width_factor)
    if not self.group_norm_epsilon > 0:
      raise errors.about(self, "{group_norm_epsilon} must be positive")
    super().__post_init__()

  def _check_grid(self) -> None:
    for size, part, px in zip(
      self.feature_map, self.patch_size, self.image_size, strict=True
    ):
      if size % part:
        raise errors.about(
          self,
          f"{{image_size}} / {self.stride} = {self.feature_map}, the ResNet's"
          f" feature map, must be a multiple of {{patch_size}} ({size} % {part}"
          f" = {size % part}); {errors.nearest(px, self.stride * part)}",
        )


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "R50+B/16", changed by overrides."""
  name = name.replace("+ViT-", "+")
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> base.Rules:
  """Those of ViT; the ResNet's output channels are split over "fsdp"."""
  kernels = r"resnet/(conv_root|stage\d+_unit\d+/conv\w+)/kernel"
  rule = (kernels, PartitionSpec(None, None, None, "fsdp"))
  return [rule, *vit.sharding_rules(config)]


class Model(vit.Model):
  """A hybrid: `vit.Model` with the patches of a ResNet's feature map.

  Attributes: those of `vit.Model`; `remat` and `unroll` are also the ResNet's,
  whose "dots" keeps the results of convolutions.
  """

  config: Config  # type: ignore[assignment]

  def setup(self):
    """Makes the submodules."""
    super().setup()
    config = self.config
    dtype = jnp.dtype(config.dtype)
    conv = functools.partial(
      std_convolution.StdConv,
      standardization=config.standardization,
      padding="same",
      dtype=dtype,
    )
    norm = functools.partial(
      nn.GroupNorm,
      num_groups=resnet.GROUPS,
      epsilon=config.group_norm_epsilon,
      dtype=dtype,
    )
    self.resnet = resnet.Stem(
      config.resnet_depths,
      resnet.root_width(config.resnet_width_factor),
      conv,
      norm,
      self.remat,
      self.unroll,
    )

  def _patches(self, x: Float[Array, "B h w c"]) -> Float[Array, "B gh gw D"]:
    return self.embedding(self.resnet(x))
