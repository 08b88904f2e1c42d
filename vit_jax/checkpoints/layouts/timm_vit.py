"""timm's VisionTransformer, on patches or on a ResNet."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from vit_jax.checkpoints.base import Inferred, Source, numbers
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import (
  facts,
  layer_scale,
  timm,
  torch_like,
  vit_like,
  vit_readings,
)
from vit_jax.core import errors
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


class TimmVit(vit_like.VitLike, timm.Timm):
  """ViT: blocks.0.attn.qkv..."""

  marks = (r"blocks\.\d+\..*",)
  positions = "pos_embed"
  pools = ("token", "gap", "patches")
  implied = {"norm_epsilon": 1e-6}
  head = "head"
  token = "cls_token"
  foreign = (
    (r"dist_token|head_dist\..*", "DeiT's token or head of distillation"),
    (r"reg_token|register_tokens", "register tokens, as in DINOv2"),
    (r"norm_pre\..*", "a norm before the first block, as in CLIP"),
    (r"attn_pool\..*", "timm's attention pooling (global_pool=map)"),
    (r"decoder_(blocks\.\d+|pred)\..*", "the decoder of a masked autoencoder"),
    (r"blocks\.\d+\.attn\.[qk]_norm\..*", "a norm of queries and keys"),
    (r"blocks\.\d+\.attn\.(q_bias|relative_.*)", "BEiT's attention"),
  )
  constructor = vit_readings.CONSTRUCTOR
  # Where names and shapes show an argument, a value that is not supported is
  # refused all the same, for the sake of the words.
  supported = {
    "act_layer": (None, "gelu", "gelu_tanh"),
    "global_pool": ("token", "avg"),
    "embed_layer": ("patchembed", "hybridembed"),
    "block_fn": ("block",),
    "class": (),
    **{name: (value,) for name, value in vit_readings.PLAIN.items()},
  }
  free = (
    *("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio"),
    *("init_values", "class_token", "no_embed_class", "fc_norm"),
    *("pool_include_prefix", "norm_layer", "dynamic_img_size"),
    *("dynamic_img_pad", "strict_img_size", "weight_init", "fix_init"),
    *("drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate"),
    *("attn_drop_rate", "drop_path_rate"),
  )

  def check(self, source: Source, values: Mapping[str, Any]) -> None:
    super().check(source, values)
    if values["pool_include_prefix"] and values["class_token"]:
      raise errors.CheckpointError(
        f"{source.path}: pool_include_prefix=True, where the mean of all tokens"
        " has the class token in it, is not supported"
      )
    vit_readings.epsilon(source, values["norm_layer"])

  def with_pool(
    self, source: Source, config_args: facts.Arguments, pool: str
  ) -> facts.Arguments:
    if pool == "avg" and source.has(r"fc_norm\..*"):
      # The norm after the pooling shows that the architecture was changed.
      return config_args.changed(global_pool=pool)
    return super().with_pool(source, config_args, pool)

  def written_size(self, source: Source) -> Any:
    return self.arguments(source).values.get("img_size")

  def ends(self, source: Source) -> dict[str, Any]:
    dim = source.size(r"pre_logits\.fc\.(weight|bias)", 0, 0)
    return {**super().ends(source), "pre_logits_dim": dim}

  def folded(self, source: Source) -> tuple[Source, list[str]]:
    return layer_scale.folded(source)

  def new(self, source: Source) -> Inferred:
    config_args = self.arguments(source)
    args, assumptions = config_args.values, list[str]()
    if not config_args.architecture and "num_heads" not in config_args.written:
      shown = (
        *self._sizes(source).values(),
        *(source.has("cls_token"), source.has(r"fc_norm\..*")),
      )
      args = vit_readings.without_config(
        source, config_args, shown, self.model == "hybrid", assumptions
      )
      self.check(source, args)
    config = self.without_size(source, self._fields(source, args))
    own = self.has_own_position(source, config)
    if "no_embed_class" in config_args.written:
      own = not args["no_embed_class"]
    own = config.class_token and own
    config = dataclasses.replace(config, class_token_position=own)
    return Inferred(config, assumptions)

  def without_size(self, source: Source, fields: dict[str, Any]) -> vit.Config:
    """The config with the smallest images that it can have."""
    return vit_like.smallest(fields)

  def _sizes(self, source: Source) -> dict[str, Any]:
    """The fields of the config that names and shapes tell."""
    width = source.size(r"blocks\.\d+\.norm\d\.(weight|bias)", 0, 768)
    return dict(
      width=width,
      depth=source.count(r"blocks\.(\d+)\..*"),
      mlp_dim=source.size(r"blocks\.\d+\.mlp\.fc1\..*", 0, 4 * width),
      patch_size=torch_like.patch_size(
        source, r"patch_embed\.proj\.weight", 16
      ),
    )

  def _fields(self, source: Source, args: Mapping[str, Any]) -> dict[str, Any]:
    average = args["global_pool"] == "avg"
    token = source.has("cls_token")
    if not token and not average:
      raise errors.CheckpointError(
        f"{source.path}: global_pool={args['global_pool']}, but the file has no"
        " cls_token"
      )
    return dict(
      **self._sizes(source),
      num_heads=args["num_heads"],
      pool="token" if not average else "patches" if token else "gap",
      norm_at="pooled" if source.has(r"fc_norm\..*") else "tokens",
      norm_epsilon=vit_readings.epsilon(source, args["norm_layer"]),
      gelu="tanh" if args["act_layer"] == "gelu_tanh" else "exact",
    )

  def rules(self, config: vit.Config) -> list[Rule]:
    norm = "norm" if config.norm_at == "tokens" else "fc_norm"
    rules = [
      Rule(self.positions, "1 N D", "posemb/table", "N D"),
      *torch_like.patches("patch_embed.proj"),
      *torch_like.block(
        timm.BLOCK, "blocks.{L}", "blocks", numbers(config.depth)
      ),
      *torch_like.norm(norm, "norm"),
    ]
    if config.class_token:
      rules.append(Rule("cls_token", "1 1 D", "class_token", "1 1 D"))
    if config.pre_logits_dim:
      rules += torch_like.linear("pre_logits.fc", "pre_logits")
    if config.num_classes:
      rules += torch_like.linear("head", "head")
    return rules

  def objections(self, config: vit.Config) -> list[str]:
    objections = super().objections(config)
    if dim := config.pre_logits_dim:
      # Old files have this layer, which timm dropped from its models.
      objections.append(f"pre_logits_dim={dim}")
    return objections

  def architecture(self, config: vit.Config) -> str:
    sizes = {192: "tiny", 384: "small", 1024: "large", 1280: "huge"}
    size = sizes.get(config.width, "base")
    patch = 14 if size == "huge" else 16
    return f"vit_{size}_patch{patch}_224"

  def model_args(self, config: vit.Config) -> dict[str, Any]:
    return {
      "img_size": list(config.image_size),
      "patch_size": list(config.patch_size),
      "embed_dim": config.width,
      "depth": config.depth,
      "num_heads": config.num_heads,
      "mlp_ratio": config.mlp_dim / config.width,
      "class_token": config.class_token,
      "no_embed_class": not config.class_token_position,
      "global_pool": "token" if config.pool == "token" else "avg",
      "fc_norm": config.norm_at == "pooled",
      "act_layer": "gelu_tanh" if config.gelu == "tanh" else "gelu",
    }


class TimmHybrid(TimmVit):
  """A ViT on a ResNet: patch_embed.backbone.stages.0.blocks.0.conv1..."""

  model = "hybrid"
  marks = (*TimmVit.marks, r"patch_embed\.backbone\..*")
  implied = {
    **TimmVit.implied,
    "standardization": "var + 1e-8",
    "group_norm_epsilon": 1e-5,
  }

  def without_size(
    self, source: Source, fields: dict[str, Any]
  ) -> hybrid.Config:
    backbone = r"patch_embed\.backbone\."
    stem = backbone + r"(stem\.)?(conv|norm)\.(weight|bias)"
    kernel = r"patch_embed\.proj\.weight"
    return vit_like.smallest_hybrid(
      {
        **fields,
        "patch_size": torch_like.patch_size(source, kernel, 1),
        "resnet_depths": source.depths(
          backbone + r"stages\.{}\.blocks\.(\d+)\..*"
        ),
        "resnet_width_factor": source.size(stem, 0, 64) / 64,
        "standardization": "var + 1e-8",
        "group_norm_epsilon": 1e-5,
      }
    )

  def rules(self, config: Any) -> list[Rule]:
    backbone, depths = "patch_embed.backbone", config.resnet_depths
    # Without stages the stem is the backbone itself.
    stem = f"{backbone}.stem" if depths else backbone
    norms = ("norm1", "norm2", "norm3", "downsample.norm")
    return [
      *super().rules(config),
      torch_like.conv(f"{stem}.conv", "resnet/conv_root"),
      *torch_like.norm(f"{stem}.norm", "resnet/norm_root"),
      *timm.resnet_units(f"{backbone}.", "resnet/", depths, *norms),
    ]

  def notes(self, config: Any) -> list[str]:
    notes = super().notes(config)
    if config.resnet_width_factor != 1 or config.resnet_depths not in _HYBRIDS:
      notes.append("timm has no constructor of a model with such a ResNet")
    return notes

  def architecture(self, config: Any) -> str:
    return _HYBRIDS.get(config.resnet_depths, _HYBRIDS[3, 4, 9])
