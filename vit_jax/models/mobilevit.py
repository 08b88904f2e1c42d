"""MobileViT (arXiv:2110.02178) and its variants."""

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import config as config_lib, errors
from vit_jax.nn import (
  checks,
  encoder,
  inverted_residual,
  mobilevit_block,
  pooling,
  stacking,
)

# No parameters are stacked: the blocks differ in shape.
STACKED = ""

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
class Config:
  """A MobileViT; the defaults are MobileViT-S.

  The image is halved by the first convolution and by every stage but the
  first. The last stages have a Transformer each.

  Attributes:
    num_classes: C; 0 is a model without a head.
    image_size: (h, w) in px of the images that it is trained on; the model
      takes any.
    stem_width: channels of the first convolution.
    widths: channels of each stage.
    depths: inverted residuals of each stage.
    expansion: inner channels of an inverted residual over those of its input.
    transformer_widths: D of the Transformers.
    transformer_depths: L of the Transformers.
    num_heads: H.
    mlp_ratio: M / D, of which the product with D is rounded down.
    patch_size: (height, width) in pixels of a stage's feature map.
    width: channels of the last convolution.
    dropout: rate in the Transformers, after the attention and after the MLP.
    head_dropout: rate before the head.
    head_bias_init: initial bias of the head.
    dtype: of the computation. Parameters, batch statistics, norms, softmax,
      the pooled vector and the head are float32.
  """

  num_classes: int = 1000
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
  head_bias_init: float = 0.0
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    self._check_ranges()
    self._check_stages()
    for width in self.transformer_widths:
      if width % self.num_heads:
        raise errors.about(
          self,
          "{transformer_widths} must be multiples of {num_heads}"
          f" {checks.division(width, self.num_heads)}",
        )
      if not 1 <= self.mlp_ratio * width < float("inf"):
        raise errors.about(
          self,
          "{mlp_ratio} x {transformer_widths} must be at least 1 and finite",
        )
    for name in ("head_bias_init", "head_dropout"):
      if getattr(self, name) and not self.num_classes:
        raise errors.about(
          self, f"{{{name}}} needs a head, but {{num_classes}}; use 0"
        )

  def _check_ranges(self) -> None:
    for name in ("stem_width", "expansion", "num_heads", "width"):
      if getattr(self, name) < 1:
        raise errors.about(self, f"{{{name}}} must be at least 1")
    for name in ("widths", "depths"):
      if min(getattr(self, name), default=0) < 1:
        raise errors.about(
          self, f"{{{name}}} must be at least 1 in every stage"
        )
    for name in ("transformer_widths", "transformer_depths"):
      if min(getattr(self, name), default=1) < 1:
        raise errors.about(
          self, f"{{{name}}} must be at least 1 in every stage"
        )
    if self.num_classes < 0:
      raise errors.about(self, "{num_classes} must be at least 0 (0 is none)")
    for name in ("image_size", "patch_size"):
      if min(getattr(self, name)) < 1:
        raise errors.about(self, f"{{{name}}} must be at least 1 px each way")
    for name in ("dropout", "head_dropout"):
      if not 0.0 <= getattr(self, name) < 1.0:
        raise errors.about(
          self, f"{{{name}}} must be at least 0 and less than 1"
        )

  def _check_stages(self) -> None:
    if len(self.widths) != len(self.depths):
      raise errors.about(self, "{widths} and {depths} must have as many stages")
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
  """The config of a variant such as "XS", changed by overrides.

  Raises:
    ConfigError: no such variant, or overrides that do not fit.
  """
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> list[tuple[str, PartitionSpec]]:
  """(regex of the parameter name, PartitionSpec); the first match wins.

  The Transformers' are ViT's; of convolutions the output channels are split
  over "fsdp". For `core.mesh.shardings`.
  """
  p = PartitionSpec
  rules = [
    (".*conv/kernel", p(None, None, None, "fsdp")),
    (r"stage\d+_transformer/embed/kernel", p(None, "fsdp")),
    *encoder.sharding_rules(r"stage\d+_transformer/block\d+/"),
  ]
  if config.num_classes:
    rules.append(("head/kernel", p("fsdp", None)))
  return rules


class Model(nn.Module):
  """A MobileViT.

  Attributes:
    config: what it is.
    remat: what the backward pass computes again to save memory: "none", "dots"
      (all of a block but its matmuls with parameters) or "full" (all but the
      blocks' inputs). Changes speed and memory only.
  """

  config: Config
  remat: stacking.Remat = "none"

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool = False
  ) -> dict[str, jax.Array]:
    """Represents and classifies images.

    Args:
      images: [B, h, w, c], a floating type; of any size, and any number of
        channels, which is fixed by the parameters.
      train: dropout, from the rng stream "dropout"; normalises by the batch's
        statistics and updates the collection "batch_stats", which must be
        mutable.

    Returns:
      grid [B, gh, gw, D] after the last convolution; tokens [B, gh * gw, D],
      the same; pre_logits [B, D], their mean; logits [B, C], if there is a
      head.

    Raises:
      ConfigError: images that are not [B, h, w, c].
      TypeError: images that are not of a floating type.
    """
    config = self.config
    checks.check_images(images)
    conv: Any = functools.partial(
      inverted_residual.ConvNorm, train=train, dtype=jnp.dtype(config.dtype)
    )
    x = conv(config.stem_width, kernel=3, stride=2, name="stem")(images)
    for i in range(len(config.widths)):
      x = self._stage(x, i, train)
    grid = conv(config.width, name="last")(x)
    tokens = grid.reshape(grid.shape[0], -1, grid.shape[-1])
    y = pooling.FIXED["gap"](tokens)
    out = {"tokens": tokens, "grid": grid, "pre_logits": y}
    if config.num_classes:
      y = nn.Dropout(config.head_dropout, deterministic=not train)(y)
      out["logits"] = nn.Dense(
        config.num_classes,
        kernel_init=nn.initializers.zeros,
        bias_init=nn.initializers.constant(config.head_bias_init),
        name="head",
      )(y)
    return out

  def _stage(self, x: jax.Array, index: int, train: bool) -> jax.Array:
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
    return block(
      width,
      config.transformer_depths[transformer],
      int(width * config.mlp_ratio),
      config.num_heads,
      config.patch_size,
      config.dropout,
      train,
      dtype,
      name=f"stage{index}_transformer",
    )(x)
