"""transformers' SwinForImageClassification and SwinModel."""

from typing import Any

from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.checkpoints.layouts import hf, swin_like, timm
from vit_jax.models import swin

_TABLE = "attention.relative_position_bias.relative_position_bias_table"
_BIAS = ((_TABLE, "(rh rw) H", "attention/relative_bias", "rh rw H"),)
_BLOCKS = r"swin\.encoder\.layers\.{}\.blocks\."


class HuggingFaceSwin(hf.HuggingFace):
  """Swin: swin.encoder.layers.0.blocks.0.attention.q_proj..."""

  model = "swin"
  marks = (r"swin\.encoder\.layers\.\d+\.blocks\..*",)
  renamed = (
    # SwinModel's own files have no prefix.
    (r"^(embeddings|encoder|layernorm|pooler)\.", r"swin.\1."),
    (
      r"\.attention\.self\.relative_position_bias_table$",
      f".{_TABLE}",
    ),
    *hf.RENAMED,
  )

  def infer(self, source: Source, given: swin.Config | None) -> Inferred:
    classes = source.size(r"classifier\.(weight|bias)", 0, 0)
    if given:
      return Inferred(timm.replaced(given, classes))
    return swin_like.inferred(
      source,
      _BLOCKS + r"(\d+)\..*",
      _BLOCKS + r"\d+\." + _TABLE.replace(".", r"\."),
      patch=r"swin\.embeddings\.patch_embeddings\.projection\.weight",
      norm=r"swin\.embeddings\.norm\.(weight|bias)",
      hidden=_BLOCKS.format(0) + r"\d+\.mlp\.fc1\..*",
      num_classes=classes,
      image_size=source.config.get("image_size"),
      window_size=source.config.get("window_size"),
      window_pad="before_shift",
    )

  def rules(self, config: swin.Config) -> list[Rule]:
    rules = [
      *hf.embedding("swin"),
      *timm.norm("swin.embeddings.norm", "embedding_norm"),
      *timm.norm("swin.layernorm", "norm"),
    ]
    for i, depth in enumerate(config.depths):
      name = f"swin.encoder.layers.{i}.blocks."
      for ours, layers in swin_like.stacks(depth):
        if ours == "last":
          rules += hf.block(name + layers[0], f"stage{i}/last", (), _BIAS)
        else:
          ours = f"stage{i}/pairs/{ours}"
          rules += hf.block(name + "{L}", ours, layers, _BIAS)
      if i:
        # Merging ends a stage there, and begins the next one here.
        down = f"swin.encoder.layers.{i - 1}.downsample"
        rules += timm.norm(f"{down}.norm", f"stage{i}/merge/norm")
        kernel = f"stage{i}/merge/reduction/kernel"
        rules.append(Rule(f"{down}.reduction.weight", "O I", kernel, "I O"))
    if config.num_classes:
      rules += timm.linear("classifier", "head")
    return rules

  def objections(self, config: swin.Config) -> list[str]:
    found = swin_like.padding_objections(config, "before_shift")
    for name in ("patch_size", "window_size"):
      h, w = getattr(config, name)
      if h != w:
        found.append(f"{name}={(h, w)}")
    return found

  def describe(self, config: swin.Config) -> dict[str, Any]:
    h, w = config.image_size
    return {
      "architectures": [
        "SwinForImageClassification" if config.num_classes else "SwinModel"
      ],
      "model_type": "swin",
      "image_size": h if h == w else [h, w],
      "patch_size": config.patch_size[0],
      "num_channels": 3,
      "embed_dim": config.width,
      "depths": list(config.depths),
      "num_heads": list(config.num_heads),
      "window_size": config.window_size[0],
      "mlp_ratio": config.mlp_ratio,
      "qkv_bias": True,
      "hidden_act": "gelu",
      "layer_norm_eps": 1e-5,
      "use_absolute_embeddings": False,
      "drop_path_rate": config.stochastic_depth,
    }
