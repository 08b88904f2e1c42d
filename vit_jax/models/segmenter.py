"""Segmentation with a linear head over the grid of any other model.

Source: the linear decoder of Segmenter, Section 3.2, arXiv:2105.05633.
"""

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vit_jax.core import config as config_lib, errors
from vit_jax.models import base, swin, vit
from vit_jax.nn import checks, stacking

_PREFIX = "backbone/"
STACKED = f"{_PREFIX}({vit.STACKED}|{swin.STACKED})"
STEM = f"{_PREFIX}embedding/kernel"

# A backbone and its variant are chosen in the config.
VARIANTS: dict[str, dict[str, Any]] = {}


@dataclasses.dataclass(frozen=True)
class Config:
  """A segmenter; the default is over ViT-B/16.

  Attributes:
    backbone: a model without a head.
    num_classes: C.
    head_bias_init: initial bias of the head.
  """

  backbone: Any = dataclasses.field(
    default_factory=lambda: vit.Config(num_classes=0),
    metadata=config_lib.component("vit_jax.models", "vit").metadata,
  )
  num_classes: int = 150
  head_bias_init: float = 0.0

  def __post_init__(self):
    if isinstance(self.backbone, Config):
      raise errors.ConfigError(
        "{backbone} is a segmenter itself; choose another model",
        {"backbone": errors.PATH_ONLY},
      )
    if self.backbone.num_classes:
      raise errors.ConfigError(
        "{backbone.num_classes} must be 0: the classes are those of"
        " {num_classes}",
        {
          "backbone.num_classes": self.backbone.num_classes,
          "num_classes": self.num_classes,
        },
      )
    if self.num_classes < 1:
      raise errors.about(self, "{num_classes} must be at least 1")

  @property
  def image_size(self) -> tuple[int, int]:
    """(h, w) in px, the backbone's."""
    return self.backbone.image_size

  @property
  def dtype(self) -> Literal["float32", "bfloat16"]:
    """Type of the computation, the backbone's; the head is float32."""
    return self.backbone.dtype


def variant(name: str, **overrides: Any) -> Config:
  """Raises a ConfigError: a segmenter has no variants."""
  del overrides
  raise errors.ConfigError(
    f"unknown variant {name}: a segmenter has none; choose its backbone, such"
    ' as Config(backbone=vit.variant("B/16", num_classes=0), num_classes=21)'
  )


def sharding_rules(config: Config) -> base.Rules:
  """Those of the backbone. The head is replicated: its output is a map."""
  module = config_lib.module_for(config.backbone)
  return [
    (f"{_PREFIX}({pattern})", spec)
    for pattern, spec in module.sharding_rules(config.backbone)
  ]


class Model(nn.Module):
  """A segmenter.

  Attributes:
    config: what it computes.
    unroll, remat: speed knobs of the backbone, if it has them.
  """

  config: Config
  unroll: int = 1
  remat: stacking.Remat = "none"

  @nn.compact
  def __call__(
    self, images: checks.Images, *, train: bool = False
  ) -> base.Outputs:
    """Classifies each pixel of images that the backbone takes.

    Returns:
      grid [B, gh, gw, D] of the backbone, and logits [B, h, w, C], bilinearly
      resized from those of the cells of the grid.
    """
    config = self.config
    kind = config_lib.module_for(config.backbone).Model
    knobs = {
      name: getattr(self, name)
      for name in ("unroll", "remat")
      if name in kind.__dataclass_fields__
    }
    backbone = kind(config.backbone, **knobs, name="backbone")
    grid = backbone(images, train=train)["grid"]
    logits = base.head(config)(grid.astype(jnp.float32))
    b, h, w, _ = images.shape
    shape = (b, h, w, config.num_classes)
    return {"grid": grid, "logits": jax.image.resize(logits, shape, "bilinear")}
