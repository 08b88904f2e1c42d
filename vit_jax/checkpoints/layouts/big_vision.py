"""ViT npz files of google-research's big_vision, looped or scanned."""

import dataclasses
from typing import Any

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import Inferred, Size, Source
from vit_jax.checkpoints.keys import Rule, layer
from vit_jax.checkpoints.layouts import vision_transformer, vit_like
from vit_jax.models import vit
from vit_jax.preprocess import op

_POOL = (
  'pool=gap: as with pool_type="gap" there; pool_type="0" takes the first token'
  " and has the same tensors"
)


class BigVision(vision_transformer.JaxVit):
  """ViT; the class token has a position embedding in older files only."""

  format = "big_vision"
  positions = "pos_embedding"
  marks = (r"Transformer/encoderblock_\d+/.*",)
  pools = ("token", "gap", "map")
  renamed = (
    *vision_transformer.VisionTransformer.renamed,
    (r"^Transformer/pos_embedding$", positions),
    # In older files attention pooling is not a module of its own.
    (
      r"^(probe$|(MlpBlock|MultiHeadDotProductAttention|LayerNorm)_0/)",
      r"MAPHead_0/\1",
    ),
  )
  scanned = False

  def new(self, source: Source) -> Inferred:
    token, probe = source.has("cls"), source.has("MAPHead_0/.*")
    fields: dict[str, Any] = {
      **vision_transformer.sizes(source),
      "pool": "token" if token else "map" if probe else "gap",
      "class_token_position": False,
    }
    pooled = [] if token or probe else [_POOL]
    if not self.num_positions(source):
      config = vit_like.smallest({**fields, "posemb": "sincos_2d"})
      sentences = ["posemb=sincos_2d: the file has no embeddings"]
      return Inferred(config, sentences + pooled)
    config = vit_like.smallest(fields)
    own = token and self.has_own_position(source, config)
    config = dataclasses.replace(config, class_token_position=own)
    return Inferred(config, pooled)

  def rules(self, config: vit.Config) -> list[Rule]:
    rules = [
      *vision_transformer.blocks(config.depth, scanned=self.scanned),
      *vision_transformer.around(config),
    ]
    if config.posemb != "sincos_2d":
      rules.append(Rule(self.positions, "1 N D", "posemb/table", "N D"))
    if config.pool == "map":
      rules.append(Rule("MAPHead_0/probe", "1 1 D", "pool/probe", "1 1 D"))
      for theirs, ours, *axes in (
        ("LayerNorm_0", "norm", "D", "D"),
        *vision_transformer.ATTENTION_AND_MLP,
      ):
        rules += layer(f"MAPHead_0/{theirs}", f"pool/{ours}", axes)
    return rules

  def objections(self, config: vit.Config) -> list[str]:
    if (config.posemb, config.posemb_at) == ("sincos_2d", "stem"):
      config = dataclasses.replace(config, posemb="learned_1d")
    return super().objections(config)

  def preprocess(
    self, source: Source, size: Size, channels: int
  ) -> tuple[str, list[str]]:
    if size[0] != size[1]:
      return super().preprocess(source, size, channels)
    # Section 3, arXiv:2205.01580: 256 px for a crop of 224 px.
    small = round(size[0] * 256 / 224)
    steps = [f"resize_small({small})", f"central_crop({op.Size(*size)})"]
    text = preprocessing.described(steps, *preprocessing.HALF, channels)
    return text, []


class Scanned(BigVision):
  """The same with stacked blocks: `Transformer/encoderblock` [L, ...]."""

  format = "big_vision_scan"
  marks = (r"Transformer/encoderblock/.*",)
  scanned = True
