"""timm's VisionTransformer, on patches or on a ResNet."""

import dataclasses
import re
from typing import Any

import numpy as np

from vit_jax.checkpoints.base import Inferred, Source, numbers
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import timm, torch_like, vit_like
from vit_jax.checkpoints.tensors import Tensor
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

  def written_size(self, source: Source) -> Any:
    return timm.model_args(source).get("img_size")

  def ends(self, source: Source) -> dict[str, Any]:
    dim = source.size(r"pre_logits\.fc\.(weight|bias)", 0, 0)
    return {**super().ends(source), "pre_logits_dim": dim}

  def folded(self, source: Source) -> tuple[Source, list[str]]:
    """Multiplies layer scale (arXiv:2103.17239) into what it follows."""
    tensors, count = dict(source.tensors), 0
    for name in source.tensors:
      match = re.fullmatch(r"(blocks\.\d+\.)ls([12])\.gamma", name)
      if not match:
        continue
      gamma, count = tensors.pop(name), count + 1
      scaled = match[1] + {"1": "attn.proj", "2": "mlp.fc2"}[match[2]]
      for end in ("weight", "bias"):
        tensor = tensors.get(f"{scaled}.{end}")
        if tensor is None or tensor.shape[:1] != gamma.shape:
          raise errors.CheckpointError(
            f"{source.path}: {name} of shape {gamma.shape} does not fit"
            f" {scaled}.{end}, which "
            + (f"is {tensor.shape}" if tensor else "is missing")
          )
        tensors[f"{scaled}.{end}"] = _scaled(tensor, gamma)
    if not count:
      return source, []
    return dataclasses.replace(source, tensors=tensors), [
      f"layer scale: {count} tensors ls1.gamma and ls2.gamma are multiplied"
      " into the projections before them; the outputs are the same"
    ]

  def new(self, source: Source) -> Inferred:
    args = timm.model_args(source)
    assumptions: list[str] = []
    config = self.without_size(source, self._fields(source, assumptions))
    own = self.has_own_position(source, config)
    if "no_embed_class" in args:
      own = not args["no_embed_class"]
    own = config.class_token and own
    config = dataclasses.replace(config, class_token_position=own)
    return Inferred(config, assumptions)

  def without_size(self, source: Source, fields: dict[str, Any]) -> vit.Config:
    """The config with the smallest images that it can have."""
    del source
    return vit_like.smallest(fields)

  def _fields(self, source: Source, assumptions: list[str]) -> dict[str, Any]:
    args = timm.model_args(source)
    width = source.size(r"blocks\.\d+\.norm\d\.(weight|bias)", 0, 768)
    heads = args.get("num_heads")
    if not heads:
      heads = vit_like.usual_heads(width)
      assumptions.append(f"num_heads={heads}: a fused qkv does not tell")
    token, pooled = source.has("cls_token"), source.has(r"fc_norm\..*")
    average = pooled or args.get("global_pool") == "avg"
    kernel = r"patch_embed\.proj\.weight"
    return dict(
      width=width,
      depth=source.count(r"blocks\.(\d+)\..*"),
      mlp_dim=source.size(r"blocks\.\d+\.mlp\.fc1\..*", 0, 4 * width),
      num_heads=heads,
      patch_size=torch_like.patch_size(source, kernel, 16),
      pool="gap" if not token else "patches" if average else "token",
      norm_at="pooled" if pooled else "tokens",
      gelu="tanh" if "tanh" in args.get("act_layer", "") else "exact",
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
    if config.norm_at == "pooled" and config.pool == "token":
      objections.append("norm_at=pooled with pool=token")
    return objections

  def notes(self, config: vit.Config) -> list[str]:
    notes = super().notes(config)
    if config.pre_logits_dim:
      notes.append("pre_logits: timm dropped this layer from its models")
    return notes

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


def _scaled(tensor: Tensor, gamma: Tensor) -> Tensor:
  """The tensor with its first axis multiplied by gamma, read as float32."""

  def read() -> np.ndarray:
    factor = gamma.read().astype(np.float32)
    value = tensor.read().astype(np.float32)
    return value * factor.reshape(-1, *[1] * (value.ndim - 1))

  return dataclasses.replace(tensor, read=read)


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
    return [
      *super().rules(config),
      torch_like.conv(f"{stem}.conv", "resnet/conv_root"),
      *torch_like.norm(f"{stem}.norm", "resnet/norm_root"),
      *timm.resnet_units(f"{backbone}.", "resnet/", depths, shortcut_norm=True),
    ]

  def notes(self, config: Any) -> list[str]:
    notes = super().notes(config)
    if config.resnet_width_factor != 1 or config.resnet_depths not in _HYBRIDS:
      notes.append("timm has no constructor of a model with such a ResNet")
    return notes

  def architecture(self, config: Any) -> str:
    return _HYBRIDS.get(config.resnet_depths, _HYBRIDS[3, 4, 9])
