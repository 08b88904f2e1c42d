"""timm's SwinTransformer."""

from collections.abc import Mapping
from typing import Any

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import Source
from vit_jax.checkpoints.layouts import swin_like, timm
from vit_jax.core import errors
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

  constructor = "SwinTransformer"
  supported = {
    "global_pool": ("avg",),
    "head_dim": (None,),
    "always_partition": (False,),
    "qkv_bias": (True,),
    "embed_layer": ("patchembed",),
    "norm_layer": ("layernorm",),
    "class": (),
  }
  free = (
    *("patch_size", "embed_dim", "depths", "num_heads", "window_size"),
    *("mlp_ratio", "strict_img_size", "dynamic_img_size", "weight_init"),
    *("drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate"),
  )

  def check(self, source: Source, values: Mapping[str, Any]) -> None:
    super().check(source, values)
    windows = values["window_size"]
    if not isinstance(windows, int) and len(windows) != 2:
      raise errors.CheckpointError(
        f"{source.path}: window_size={windows}, one for each stage, is not"
        " supported"
      )

  def written(self, source: Source) -> Mapping[str, Any]:
    config_args = self.arguments(source)
    known = config_args.architecture or "window_size" in config_args.written
    return {
      "img_size": config_args.values.get("img_size"),
      "window_size": config_args.values["window_size"] if known else None,
    }

  def objections(self, config: swin.Config) -> list[str]:
    objections = super().objections(config)
    h, w = config.patch_size
    return objections + [f"patch_size={(h, w)}"] * (h != w)

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
