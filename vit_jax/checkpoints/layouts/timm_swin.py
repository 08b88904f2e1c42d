"""timm's SwinTransformer."""

from typing import Any

from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.checkpoints.layouts import swin_like, timm
from vit_jax.models import swin

_TABLE = "attn.relative_position_bias_table"
_BIAS = ((_TABLE, "(rh rw) H", "attention/relative_bias", "rh rw H"),)


class TimmSwin(timm.Timm):
  """Swin: layers.0.blocks.0.attn.qkv..."""

  model = "swin"
  marks = (r"layers\.\d+\.blocks\.\d+\.attn\..*",)

  def infer(self, source: Source, given: swin.Config | None) -> Inferred:
    classes = source.size(r"head\.fc\.(weight|bias)", 0, 0)
    if given:
      return Inferred(timm.replaced(given, classes))
    args = timm.model_args(source)
    return swin_like.inferred(
      source,
      r"layers\.{}\.blocks\.(\d+)\..*",
      r"layers\.{}\.blocks\.\d+\." + _TABLE.replace(".", r"\."),
      patch=r"patch_embed\.proj\.weight",
      norm=r"patch_embed\.norm\.(weight|bias)",
      hidden=r"layers\.0\.blocks\.\d+\.mlp\.fc1\..*",
      num_classes=classes,
      image_size=args.get("img_size"),
      window_size=args.get("window_size"),
      window_pad="after_shift",
    )

  def rules(self, config: swin.Config) -> list[Rule]:
    rules = [
      *timm.linear("patch_embed.proj", "embedding", "O I kh kw", "kh kw I O"),
      *timm.norm("patch_embed.norm", "embedding_norm"),
      *timm.norm("norm", "norm"),
    ]
    for i, depth in enumerate(config.depths):
      for ours, layers in swin_like.stacks(depth):
        name = f"layers.{i}.blocks."
        if ours == "last":
          rules += timm.block(name + layers[0], f"stage{i}/last", (), _BIAS)
        else:
          ours = f"stage{i}/pairs/{ours}"
          rules += timm.block(name + "{L}", ours, layers, _BIAS)
      if i:
        down = f"layers.{i}.downsample"
        rules += timm.norm(f"{down}.norm", f"stage{i}/merge/norm")
        kernel = f"stage{i}/merge/reduction/kernel"
        rules.append(Rule(f"{down}.reduction.weight", "O I", kernel, "I O"))
    if config.num_classes:
      rules += timm.linear("head.fc", "head")
    return rules

  def objections(self, config: swin.Config) -> list[str]:
    return swin_like.padding_objections(config, "after_shift")

  def describe(self, config: swin.Config) -> dict[str, Any]:
    names = {96: "tiny", 128: "base", 192: "large"}
    size = names.get(config.width, "tiny")
    if config.width == 96 and config.depths[2:3] == (18,):
      size = "small"
    return {
      "architecture": f"swin_{size}_patch4_window7_224",
      "num_classes": config.num_classes,
      "num_features": config.stage_widths[-1],
      "global_pool": "avg",
      "model_args": {
        "img_size": list(config.image_size),
        "patch_size": config.patch_size[0],
        "window_size": list(config.window_size),
        "embed_dim": config.width,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "mlp_ratio": config.mlp_ratio,
      },
    }
