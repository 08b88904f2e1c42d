"""transformers' ViTForImageClassification and ViTModel."""

from typing import Any

from vit_jax.checkpoints.base import Inferred, Source, numbers
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import hf, torch_like, vit_like
from vit_jax.models import vit

_LAYER = r"vit\.layers\.\d+\."


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

  def written_size(self, source: Source) -> Any:
    return source.config.get("image_size")

  def ends(self, source: Source) -> dict[str, Any]:
    dim = source.size(r"vit\.pooler\.dense\..*", 0, 0)
    return {**super().ends(source), "pre_logits_dim": dim}

  def new(self, source: Source) -> Inferred:
    assumptions: list[str] = []
    width = source.size(_LAYER + r"layernorm_\w+\.(weight|bias)", 0, 768)
    heads = source.config.get("num_attention_heads")
    if not heads:
      heads = vit_like.usual_heads(width)
      assumptions.append(f"num_heads={heads}: the shapes do not tell")
    if "hidden_act" not in source.config:
      assumptions.append("gelu=exact and norm_epsilon=1e-12: no config.json")
    patch = r"vit\.embeddings\.patch_embeddings\.projection\.weight"
    config = vit_like.smallest(
      dict(
        width=width,
        depth=source.count(r"vit\.layers\.(\d+)\..*"),
        mlp_dim=source.size(_LAYER + r"mlp\.fc1\..*", 0, 4 * width),
        num_heads=heads,
        patch_size=torch_like.patch_size(source, patch, 16),
        pool="token",
        gelu=hf.gelu(source),
        norm_epsilon=source.config.get("layer_norm_eps", 1e-12),
      )
    )
    return Inferred(config, assumptions)

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
      "hidden_dropout_prob": 0.0,
      "attention_probs_dropout_prob": 0.0,
    }
