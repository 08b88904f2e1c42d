"""MobileViT (arXiv:2110.02178) and its variants."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from vit_jax.core import config as config_lib, errors
from vit_jax.models import base
from vit_jax.nn import (
  checks,
  encoder,
  inverted_residual,
  mobilevit_block,
  stacking,
)

# No parameters are stacked: the blocks differ in shape.
STACKED = ""
STEM = "stem/conv/kernel"

# Table 4, 2110.02178.
VARIANTS = {
  "XXS": dict(
    widths=(16, 24, 48, 64, 80),
    transformer_widths=(64, 80, 96),
    expansion=2,
    width=320,
  ),
  "XS": dict(
    widths=(32, 48, 64, 80, 96),
    transformer_widths=(96, 120, 144),
    expansion=4,
    width=384,
  ),
  "S": dict(
    widths=(32, 64, 96, 128, 160),
    transformer_widths=(144, 192, 240),
    expansion=4,
    width=640,
  ),
}


@dataclasses.dataclass(frozen=True)
class Config(base.CommonConfig):
  """A MobileViT; the defaults are MobileViT-S.

  The image is halved by the first convolution and by every stage but the
  first. Each of the last stages has a Transformer.

  Attributes: those of `base.CommonConfig`, and

    stem_width: channels of the first convolution.
    widths: channels of each stage.
    depths: inverted residuals of each stage.
    expansion: inner channels of an inverted residual for each channel of its
      input.
    transformer_widths: D of the Transformers.
    transformer_depths: L of the Transformers.
    num_heads: H.
    mlp_ratio: M / D; M is rounded down.
    patch_size: (height, width) in pixels of a stage's feature map.
    width: channels of the last convolution.
    dropout: dropout rate in the Transformers, after the attention and after
      the MLP.
    head_dropout: dropout rate before the head.
  """

  image_size: tuple[int, int] = (256, 256)
  stem_width: int = 16
  widths: tuple[int, ...] = (32, 64, 96, 128, 160)
  depths: tuple[int, ...] = (1, 3, 1, 1, 1)
  expansion: int = 4
  transformer_widths: tuple[int, ...] = (144, 192, 240)
  transformer_depths: tuple[int, ...] = (2, 4, 3)
  num_heads: int = 4
  mlp_ratio: float = 2.0
  patch_size: tuple[int, int] = (2, 2)
  width: int = 640
  dropout: float = 0.0
  head_dropout: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    self._check_ranges()
    self._check_stages()
    for width in self.transformer_widths:
      if width % self.num_heads:
        raise errors.about(
          self,
          "{transformer_widths} must be multiples of {num_heads}"
          f" {errors.division(width, self.num_heads)}",
        )
      if not 1 <= self.mlp_ratio * width < float("inf"):
        raise errors.about(
          self,
          "{mlp_ratio} x {transformer_widths} must be at least 1 and finite",
        )
    base.check_head(self, "head_dropout")

  def _check_ranges(self) -> None:
    sizes = ("stem_width", "expansion", "num_heads", "width")
    base.check_at_least(self, 1, *sizes)
    base.check_stages(self, "widths", "depths")
    if self.transformer_widths or self.transformer_depths:
      base.check_stages(self, "transformer_widths", "transformer_depths")
    base.check_sizes(self, "patch_size")
    base.check_rates(self, "dropout", "head_dropout")

  def _check_stages(self) -> None:
    if len(self.widths) != len(self.depths):
      raise errors.about(
        self, "{widths} and {depths} must have equally many stages"
      )
    transformers = len(self.transformer_widths)
    if transformers != len(self.transformer_depths):
      raise errors.about(
        self,
        "{transformer_widths} and {transformer_depths} must be of one length",
      )
    if transformers > len(self.widths):
      raise errors.about(
        self,
        f"{{transformer_widths}} has {transformers} stages, {{widths}} has"
        f" {len(self.widths)}; give at most one Transformer a stage",
      )


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "XS", changed by overrides."""
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> base.Rules:
  """Output channels of convolutions are split over "fsdp".

  The rules of the Transformers are ViT's.
  """
  p = PartitionSpec
  return [
    (".*conv/kernel", p(None, None, None, "fsdp")),
    (r"stage\d+_transformer/embed/kernel", p(None, "fsdp")),
    *encoder.sharding_rules(r"stage\d+_transformer/block\d+/"),
    *base.head_rules(config),
  ]


class Model(nn.Module):
  """A MobileViT.

  Attributes:
    config: what it computes.
    remat: a speed knob, see `base.ModelModule`. "dots" keeps the matmuls with
      parameters.
  """

  config: Config
  remat: stacking.Remat = "none"

  @nn.compact
  def __call__(
    self, images: checks.Images, *, train: bool = False
  ) -> base.Outputs:
    """Represents and classifies images of any size; see `models.base`."""
    config = self.config
    images = checks.check_images(images)
    conv: Any = functools.partial(
      inverted_residual.ConvNorm, train=train, dtype=jnp.dtype(config.dtype)
    )
    x = conv(config.stem_width, kernel=3, stride=2, name="stem")(images)
    for i in range(len(config.widths)):
      x = self._stage(x, i, train)
    grid = conv(config.width, name="last")(x)
    drop = nn.Dropout(config.head_dropout, deterministic=not train)
    return base.outputs(config, grid, drop)

  def _stage(
    self, x: Float[Array, "B h w c"], index: int, train: bool
  ) -> Float[Array, "B _ _ _"]:
    """Inverted residuals, and a MobileViT block in the last stages."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    residual, block = (
      stacking.rematted(module, self.remat)
      for module in (
        inverted_residual.InvertedResidual,
        mobilevit_block.MobileViTBlock,
      )
    )
    for i in range(config.depths[index]):
      x = residual(
        config.widths[index],
        config.expansion,
        stride=2 if index and not i else 1,
        train=train,
        dtype=dtype,
        name=f"stage{index}_residual{i}",
      )(x)
    transformer = index - len(config.widths) + len(config.transformer_widths)
    if transformer < 0:
      return x
    width = config.transformer_widths[transformer]
    block_config = mobilevit_block.BlockConfig(
      width=width,
      depth=config.transformer_depths[transformer],
      mlp_dim=int(width * config.mlp_ratio),
      num_heads=config.num_heads,
      patch_size=config.patch_size,
      dropout=config.dropout,
      dtype=dtype,
    )
    return block(block_config, train, name=f"stage{index}_transformer")(x)
