"""transformers' ViTForImageClassification and ViTModel."""

import dataclasses
from typing import Any

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.checkpoints.layouts import hf, timm, vit_like
from vit_jax.models import vit

_LAYER = r"vit\.layers\.\d+\."


class HuggingFaceViT(hf.HuggingFace):
  """ViT: vit.layers.0.attention.q_proj, or the names of before version 5."""

  model = "vit"
  marks = (r"vit\.layers\.\d+\..*", r"vit\.embeddings\..*")
  renamed = (
    # ViTModel's own files have no prefix.
    (r"^(embeddings|encoder|layers|layernorm|pooler)\.", r"vit.\1."),
    (r"^vit\.encoder\.layer\.", "vit.layers."),
    *hf.RENAMED,
  )

  def infer(self, source: Source, given: vit.Config | None) -> Inferred:
    assumptions: list[str] = []
    config = given or self._new(source, assumptions)
    config = dataclasses.replace(
      config,
      num_classes=source.size(r"classifier\.(weight|bias)", 0, 0),
      pre_logits_dim=source.size(r"vit\.pooler\.dense\..*", 0, 0),
    )
    count = source.size(r"vit\.embeddings\.position_embeddings", -2, 0)
    said = source.config.get("image_size")
    sizes = [*source.sizes(given), said and timm.pair(said)]
    return vit_like.sized(config, count, sizes, assumptions)

  def _new(self, source: Source, assumptions: list[str]) -> vit.Config:
    said = source.config
    width = source.size(_LAYER + r"layernorm_\w+\.(weight|bias)", 0, 768)
    heads = said.get("num_attention_heads")
    if not heads:
      heads = vit_like.usual_heads(width)
      assumptions.append(f"num_heads={heads}: the shapes do not tell")
    if "hidden_act" not in said:
      assumptions.append("gelu=exact and norm_epsilon=1e-12: no config.json")
    patch = r"vit\.embeddings\.patch_embeddings\.projection\.weight"
    return vit_like.smallest(
      dict(
        width=width,
        depth=source.count(r"vit\.layers\.(\d+)\..*"),
        mlp_dim=source.size(_LAYER + r"mlp\.fc1\..*", 0, 4 * width),
        num_heads=heads,
        patch_size=timm.patch_size(source, patch, 16),
        pool="token",
        gelu=hf.gelu(source),
        norm_epsilon=said.get("layer_norm_eps", 1e-12),
      )
    )

  def rules(self, config: vit.Config) -> list[Rule]:
    rules = [
      Rule("vit.embeddings.cls_token", "1 1 D", "class_token", "1 1 D"),
      Rule(
        "vit.embeddings.position_embeddings", "1 N D", "posemb/table", "N D"
      ),
      *hf.embedding("vit"),
      *hf.block("vit.layers.{L}", "blocks", layout.numbers(config.depth)),
      *timm.norm("vit.layernorm", "norm"),
    ]
    if config.pre_logits_dim:
      rules += timm.linear("vit.pooler.dense", "pre_logits")
    if config.num_classes:
      rules += timm.linear("classifier", "head")
    return rules

  def objections(self, config: vit.Config) -> list[str]:
    found = vit_like.objections(
      config, "token", norm_at="tokens", class_token_position=True
    )
    if config.pre_logits_dim and config.num_classes:
      found.append(f"pre_logits_dim={config.pre_logits_dim} before a head")
    return found

  def describe(self, config: vit.Config) -> dict[str, Any]:
    h, w = config.image_size
    ph, pw = config.patch_size
    return {
      "architectures": [
        "ViTForImageClassification" if config.num_classes else "ViTModel"
      ],
      "model_type": "vit",
      "hidden_size": config.width,
      "num_hidden_layers": config.depth,
      "num_attention_heads": config.num_heads,
      "intermediate_size": config.mlp_dim,
      "hidden_act": "gelu" if config.gelu == "exact" else "gelu_pytorch_tanh",
      "layer_norm_eps": config.norm_epsilon,
      "image_size": h if h == w else [h, w],
      "patch_size": ph if ph == pw else [ph, pw],
      "num_channels": 3,
      "qkv_bias": True,
      "hidden_dropout_prob": 0.0,
      "attention_probs_dropout_prob": 0.0,
    }
