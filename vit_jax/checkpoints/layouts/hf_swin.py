"""transformers' SwinForImageClassification and SwinModel."""

from collections.abc import Mapping
from typing import Any

from vit_jax.checkpoints.base import Source
from vit_jax.checkpoints.layouts import hf, swin_like
from vit_jax.core import errors
from vit_jax.models import swin

_TABLE = "attention.relative_position_bias.relative_position_bias_table"
# Of all norms; models here have no other.
_EPSILON = 1e-5


class HuggingFaceSwin(swin_like.SwinLike, hf.HuggingFace):
  """Swin: swin.encoder.layers.0.blocks.0.attention.q_proj..."""

  marks = (r"swin\.encoder\.layers\.\d+\.blocks\..*",)
  renamed = (
    # Files of SwinModel have no prefix.
    (r"^(embeddings|encoder|layernorm|pooler)\.", r"swin.\1."),
    (
      r"\.attention\.self\.relative_position_bias_table$",
      f".{_TABLE}",
    ),
    *hf.RENAMED,
  )
  block = {**hf.BLOCK, "attention/relative_bias": _TABLE}
  stages = "swin.encoder.layers"
  embedding = "swin.embeddings.patch_embeddings.projection"
  embedding_norm = "swin.embeddings.norm"
  norm = "swin.layernorm"
  # There patches are merged at the end of a stage, here before the next one.
  merge_shift = -1
  window_pad = "before_shift"

  kind, model_type = "Swin", "swin"
  activations = {"gelu": "exact", "gelu_python": "exact"}

  def config(self, source: Source) -> dict[str, Any]:
    config = super().config(source)
    epsilon = config["layer_norm_eps"]
    if epsilon != _EPSILON:
      raise errors.CheckpointError(
        f"{source.path}: layer_norm_eps={epsilon} of its config.json is not"
        f" supported, only {_EPSILON}"
      )
    return config

  def written(self, source: Source) -> Mapping[str, Any]:
    config = self.config(source)
    # Without the name of the class, its defaults are nobody's word.
    known = config if "model_type" in source.config else source.config
    return {
      "img_size": known.get("image_size"),
      "window_size": known.get("window_size"),
    }

  def objections(self, config: swin.Config) -> list[str]:
    objections = super().objections(config)
    cells = zip(config.image_size, config.patch_size, strict=True)
    scale = 2 ** (len(config.depths) - 1)
    last = tuple(-(-(n // p) // scale) for n, p in cells)
    if min(last) < max(config.window_size):
      objections.append(
        f"window_size={config.window_size} for a last stage of {last} cells"
      )
    for name in ("patch_size", "window_size"):
      h, w = getattr(config, name)
      if h != w:
        objections.append(f"{name}={(h, w)}")
    return objections

  def model_fields(self, config: swin.Config) -> dict[str, Any]:
    return {
      "embed_dim": config.width,
      "depths": list(config.depths),
      "num_heads": list(config.num_heads),
      "window_size": config.window_size[0],
      "mlp_ratio": config.mlp_ratio,
      "hidden_act": "gelu",
      "layer_norm_eps": _EPSILON,
      "use_absolute_embeddings": False,
      "drop_path_rate": config.stochastic_depth,
    }
