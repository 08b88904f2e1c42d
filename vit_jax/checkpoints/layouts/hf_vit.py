"""transformers' ViTForImageClassification and ViTModel."""

import dataclasses
import re
from typing import Any

from vit_jax.checkpoints.base import Inferred, Source, Untold, numbers
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import hf, torch_like, vit_like
from vit_jax.core import errors
from vit_jax.models import vit

_LAYER = r"vit\.layers\.\d+\."
_POOLER = r"vit\.pooler\.dense\..*"


class HuggingFaceViT(vit_like.VitLike, hf.HuggingFace):
  """ViT: vit.layers.0.attention.q_proj, or the names before version 5."""

  positions = "vit.embeddings.position_embeddings"
  pools = ("token",)
  required = {"norm_at": "tokens", "class_token_position": True}
  marks = (r"vit\.layers\.\d+\..*", r"vit\.embeddings\..*")
  renamed = (
    # Files of ViTModel have no prefix.
    (r"^(embeddings|encoder|layers|layernorm|pooler)\.", r"vit.\1."),
    (r"^vit\.encoder\.layer\.", "vit.layers."),
    *hf.RENAMED,
  )

  kind, model_type = "ViT", "vit"
  token = "vit.embeddings.cls_token"

  def written_size(self, source: Source) -> Any:
    known = "model_type" in source.config
    return (
      self.config(source)["image_size"]
      if known
      else source.config.get("image_size")
    )

  def ends(self, source: Source) -> dict[str, Any]:
    dim = source.size(_POOLER, 0, 0)
    return {**super().ends(source), "pre_logits_dim": dim}

  def folded(self, source: Source) -> tuple[Source, list[str]]:
    """Leaves out the pooler where there is a classifier, which passes it by."""
    pooler = [x for x in source.tensors if re.fullmatch(_POOLER, x)]
    if not pooler or not source.has(r"classifier\..*"):
      return source, []
    tensors = {k: v for k, v in source.tensors.items() if k not in pooler}
    return dataclasses.replace(source, tensors=tensors), [
      f"{', '.join(pooler)}: left out, since ViTForImageClassification passes"
      " its pooler by"
    ]

  def config(self, source: Source) -> dict[str, Any]:
    config = super().config(source)
    act = config.get("pooler_act", "tanh")
    if act != "tanh" and source.has(_POOLER):
      raise errors.CheckpointError(
        f"{source.path}: pooler_act={act} of its config.json is not supported,"
        " only tanh"
      )
    if config.get("is_hybrid"):
      raise errors.CheckpointError(
        f"{source.path}: is_hybrid of its config.json is not supported"
      )
    return config

  def new(self, source: Source) -> Inferred:
    assumptions: list[str] = []
    config = self.config(source)
    width = source.size(_LAYER + r"layernorm_\w+\.(weight|bias)", 0, 768)
    known = {"num_attention_heads", "model_type"} & {*source.config}
    heads = config["num_attention_heads"] if known else source.num_heads
    if not heads:
      raise Untold(
        f"{source.path}: nothing tells num_heads: queries and keys of width"
        f" {width} do not; give num_heads= (--num_heads), or the config.json of"
        " transformers beside it"
      )
    if not {"hidden_act", "model_type"} & {*source.config}:
      assumptions.append("gelu=exact and norm_epsilon=1e-12: no config.json")
    if not source.has(self.token):
      raise errors.CheckpointError(
        f"{source.path} has no {self.token}: a ViT without a class token, such"
        " as I-JEPA, is read in timm's format alone"
      )
    patch = r"vit\.embeddings\.patch_embeddings\.projection\.weight"
    fields = dict(
      width=width,
      depth=source.count(r"vit\.layers\.(\d+)\..*"),
      mlp_dim=source.size(_LAYER + r"mlp\.fc1\..*", 0, 4 * width),
      num_heads=heads,
      patch_size=torch_like.patch_size(source, patch, 16),
      pool="token",
      gelu=self.activations[config["hidden_act"]],
      norm_epsilon=config["layer_norm_eps"],
    )
    return Inferred(vit_like.smallest(fields), assumptions)

  def rules(self, config: vit.Config) -> list[Rule]:
    rules = [
      Rule("vit.embeddings.cls_token", "1 1 D", "class_token", "1 1 D"),
      Rule(self.positions, "1 N D", "posemb/table", "N D"),
      *torch_like.patches("vit.embeddings.patch_embeddings.projection"),
      *torch_like.block(
        hf.BLOCK, "vit.layers.{L}", "blocks", numbers(config.depth)
      ),
      *torch_like.norm("vit.layernorm", "norm"),
    ]
    if config.pre_logits_dim:
      rules += torch_like.linear("vit.pooler.dense", "pre_logits")
    if config.num_classes:
      rules += torch_like.linear(self.head, "head")
    return rules

  def objections(self, config: vit.Config) -> list[str]:
    objections = super().objections(config)
    if config.pre_logits_dim and config.num_classes:
      objections.append(f"pre_logits_dim={config.pre_logits_dim} before a head")
    return objections

  def model_fields(self, config: vit.Config) -> dict[str, Any]:
    return {
      "hidden_size": config.width,
      "num_hidden_layers": config.depth,
      "num_attention_heads": config.num_heads,
      "intermediate_size": config.mlp_dim,
      "hidden_act": "gelu" if config.gelu == "exact" else "gelu_pytorch_tanh",
      "layer_norm_eps": config.norm_epsilon,
      "hidden_dropout_prob": 0.0,
      "attention_probs_dropout_prob": 0.0,
    }
