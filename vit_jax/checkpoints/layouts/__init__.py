"""The layouts that are known: one module for each format and kind of model."""

from vit_jax.checkpoints.layout import Layout
from vit_jax.checkpoints.layouts import (
  big_vision,
  bit,
  hf_swin,
  hf_vit,
  timm_bit,
  timm_mobilevit,
  timm_swin,
  timm_vit,
  vision_transformer,
)

# A file is of the first one whose marks it bears.
ALL: tuple[Layout, ...] = (
  vision_transformer.Hybrid(),
  vision_transformer.VisionTransformer(),
  big_vision.BigVision(),
  big_vision.Scanned(),
  bit.FirstRelease(),
  bit.Bit(),
  timm_vit.TimmHybrid(),
  timm_vit.TimmVit(),
  timm_swin.TimmSwin(),
  timm_mobilevit.TimmMobileVit(),
  timm_bit.TimmBit(),
  hf_vit.HuggingFaceViT(),
  hf_swin.HuggingFaceSwin(),
)
