"""timm's VisionTransformer, on patches or on a ResNet."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.checkpoints.layouts import timm, vit_like
from vit_jax.models import hybrid, vit

# timm's constructors of models that differ in their ResNet.
_HYBRIDS = {
  (): "vit_tiny_r_s16_p8_224",
  (2, 4): "vit_small_r20_s16_p2_224",
  (2, 2, 2): "vit_base_r20_s16_224",
  (2, 2, 2, 2): "vit_small_r26_s32_224",
  (3, 4, 9): "vit_base_r50_s16_224",
  (3, 4, 6, 3): "vit_large_r50_s32_224",
}


class TimmVit(timm.Timm):
  """ViT: blocks.0.attn.qkv..."""

  model = "vit"
  marks = (r"blocks\.\d+\..*",)

  def infer(self, source: Source, given: vit.Config | None) -> Inferred:
    assumptions: list[str] = []
    args = timm.model_args(source)
    said = args.get("img_size")
    sizes = [*source.sizes(given), said and timm.pair(said)]
    count = source.size("pos_embed", -2, 0)
    config = given
    if not config:
      config = self._new(source, self._fields(source, args, assumptions))
      own = vit_like.own_position(config, count, sizes)
      if "no_embed_class" in args:
        own = not args["no_embed_class"]
      own = config.class_token and own
      config = dataclasses.replace(config, class_token_position=own)
    config = dataclasses.replace(
      config,
      num_classes=source.size(r"head\.(weight|bias)", 0, 0),
      pre_logits_dim=source.size(r"pre_logits\.fc\.(weight|bias)", 0, 0),
    )
    return vit_like.sized(config, count, sizes, assumptions)

  def _new(self, source: Source, fields: dict[str, Any]) -> vit.Config:
    del source
    return vit_like.smallest(fields)

  def _fields(
    self, source: Source, args: Mapping[str, Any], assumptions: list[str]
  ) -> dict[str, Any]:
    width = source.size(r"blocks\.\d+\.norm\d\.(weight|bias)", 0, 768)
    heads = args.get("num_heads")
    if not heads:
      heads = vit_like.usual_heads(width)
      assumptions.append(f"num_heads={heads}: a fused qkv does not tell")
    token, pooled = source.has("cls_token"), source.has(r"fc_norm\..*")
    average = pooled or args.get("global_pool") == "avg"
    return dict(
      width=width,
      depth=source.count(r"blocks\.(\d+)\..*"),
      mlp_dim=source.size(r"blocks\.\d+\.mlp\.fc1\..*", 0, 4 * width),
      num_heads=heads,
      patch_size=timm.patch_size(source, r"patch_embed\.proj\.weight", 16),
      pool="gap" if not token else "patches" if average else "token",
      norm_at="pooled" if pooled else "tokens",
      gelu="tanh" if "tanh" in args.get("act_layer", "") else "exact",
    )

  def rules(self, config: vit.Config) -> list[Rule]:
    layers = layout.numbers(config.depth)
    norm = "norm" if config.norm_at == "tokens" else "fc_norm"
    rules = [
      Rule("pos_embed", "1 N D", "posemb/table", "N D"),
      *timm.linear("patch_embed.proj", "embedding", "O I kh kw", "kh kw I O"),
      *timm.block("blocks.{L}", "blocks", layers),
      *timm.norm(norm, "norm"),
    ]
    if config.class_token:
      rules.append(Rule("cls_token", "1 1 D", "class_token", "1 1 D"))
    if config.pre_logits_dim:
      rules += timm.linear("pre_logits.fc", "pre_logits")
    if config.num_classes:
      rules += timm.linear("head", "head")
    return rules

  def objections(self, config: vit.Config) -> list[str]:
    found = vit_like.objections(config, "token", "gap", "patches")
    if config.norm_at == "pooled" and config.pool == "token":
      found.append("norm_at=pooled with pool=token")
    return found

  def notes(self, config: vit.Config) -> list[str]:
    found = layout.differences(config, "timm", norm_epsilon=1e-6)
    if config.pre_logits_dim:
      found.append("pre_logits: timm dropped this layer from its models")
    return found

  def describe(self, config: vit.Config) -> dict[str, Any]:
    token = config.pool == "token"
    return {
      "architecture": self._architecture(config),
      "num_classes": config.num_classes,
      "num_features": config.width,
      "global_pool": "token" if token else "avg",
      "model_args": {
        "img_size": list(config.image_size),
        "patch_size": list(config.patch_size),
        "embed_dim": config.width,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": config.mlp_dim / config.width,
        "class_token": config.class_token,
        "no_embed_class": not config.class_token_position,
        "global_pool": "token" if token else "avg",
        "fc_norm": config.norm_at == "pooled",
        "act_layer": "gelu_tanh" if config.gelu == "tanh" else "gelu",
      },
    }

  def _architecture(self, config: Any) -> str:
    sizes = {192: "tiny", 384: "small", 1024: "large", 1280: "huge"}
    size = sizes.get(config.width, "base")
    patch = 14 if size == "huge" else 16
    return f"vit_{size}_patch{patch}_224"


class TimmHybrid(TimmVit):
  """A ViT on a ResNet: patch_embed.backbone.stages.0.blocks.0.conv1..."""

  model = "hybrid"
  marks = (*TimmVit.marks, r"patch_embed\.backbone\..*")

  def _new(self, source: Source, fields: dict[str, Any]) -> hybrid.Config:
    stages = r"patch_embed\.backbone\.stages"
    depths = tuple(
      source.count(rf"{stages}\.{i}\.blocks\.(\d+)\..*")
      for i in range(source.count(rf"{stages}\.(\d+)\..*"))
    )
    stem = r"patch_embed\.backbone\.(stem\.)?(conv|norm)\.(weight|bias)"
    return vit_like.smallest_hybrid(
      {
        **fields,
        "patch_size": timm.patch_size(source, r"patch_embed\.proj\.weight", 1),
        "resnet_depths": depths,
        "resnet_width_factor": source.size(stem, 0, 64) / 64,
        "standardization": "var + 1e-8",
        "group_norm_epsilon": 1e-5,
      }
    )

  def rules(self, config: Any) -> list[Rule]:
    backbone = "patch_embed.backbone"
    # Without stages the stem is the backbone itself.
    stem = f"{backbone}.stem" if config.resnet_depths else backbone
    rules = [
      *super().rules(config),
      timm.conv(f"{stem}.conv", "resnet/conv_root"),
      *timm.norm(f"{stem}.norm", "resnet/norm_root"),
    ]
    for i, depth in enumerate(config.resnet_depths):
      for j in range(depth):
        theirs = f"{backbone}.stages.{i}.blocks.{j}"
        ours = f"resnet/stage{i + 1}_unit{j + 1:02}"
        for n in (1, 2, 3):
          rules.append(timm.conv(f"{theirs}.conv{n}", f"{ours}/conv{n}"))
          rules += timm.norm(f"{theirs}.norm{n}", f"{ours}/norm{n}")
        if not j:
          down = f"{theirs}.downsample"
          rules.append(timm.conv(f"{down}.conv", f"{ours}/conv_shortcut"))
          rules += timm.norm(f"{down}.norm", f"{ours}/norm_shortcut")
    return rules

  def notes(self, config: Any) -> list[str]:
    theirs: dict[str, Any] = dict(
      standardization="var + 1e-8", group_norm_epsilon=1e-5
    )
    found = super().notes(config)
    found += layout.differences(config, "timm", **theirs)
    if config.resnet_width_factor != 1 or config.resnet_depths not in _HYBRIDS:
      found.append("timm has no constructor of a model with such a ResNet")
    return found

  def _architecture(self, config: Any) -> str:
    return _HYBRIDS.get(config.resnet_depths, _HYBRIDS[3, 4, 9])
