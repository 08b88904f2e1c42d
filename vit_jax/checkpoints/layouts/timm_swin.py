"""timm's SwinTransformer."""

from collections.abc import Mapping
from typing import Any

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import Source
from vit_jax.checkpoints.layouts import swin_like, timm
from vit_jax.models import swin


class TimmSwin(swin_like.SwinLike, timm.Timm):
  """Swin: layers.0.blocks.0.attn.qkv..."""

  marks = (r"layers\.\d+\.blocks\.\d+\.attn\..*",)
  mean_and_std = preprocessing.IMAGENET
  block = {
    **timm.BLOCK,
    "attention/relative_bias": "attn.relative_position_bias_table",
  }
  stages = "layers"
  embedding, embedding_norm = "patch_embed.proj", "patch_embed.norm"
  norm = "norm"
  window_pad = "after_shift"

  def written(self, source: Source) -> Mapping[str, Any]:
    return timm.model_args(source)

  def architecture(self, config: swin.Config) -> str:
    names = {96: "tiny", 128: "base", 192: "large"}
    size = names.get(config.width, "tiny")
    if config.width == 96 and config.depths[2:3] == (18,):
      size = "small"
    return f"swin_{size}_patch4_window7_224"

  def features(self, config: swin.Config) -> int:
    return config.stage_widths[-1]

  def model_args(self, config: swin.Config) -> dict[str, Any]:
    return {
      "img_size": list(config.image_size),
      "patch_size": config.patch_size[0],
      "window_size": list(config.window_size),
      "embed_dim": config.width,
      "depths": list(config.depths),
      "num_heads": list(config.num_heads),
      "mlp_ratio": config.mlp_ratio,
    }
