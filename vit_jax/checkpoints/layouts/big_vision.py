"""ViT npz files of google-research's big_vision, looped or scanned."""

import dataclasses

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Sizes, Source
from vit_jax.checkpoints.layouts import vision_transformer, vit_like
from vit_jax.models import vit


class BigVision(layout.Layout):
  """ViT; the class token has no position embedding, or an older file does."""

  format = "big_vision"
  container = layout.NPZ
  model = "vit"
  marks = (r"Transformer/encoderblock_\d+/.*",)
  renamed = (
    *vision_transformer.VisionTransformer.renamed,
    (r"^Transformer/pos_embedding$", "pos_embedding"),
    # Attention pooling was no module of its own at first.
    (
      r"^(probe$|(MlpBlock|MultiHeadDotProductAttention|LayerNorm)_0/)",
      r"MAPHead_0/\1",
    ),
  )
  scanned = False

  def infer(self, source: Source, given: vit.Config | None) -> Inferred:
    assumptions: list[str] = []
    count = source.size("pos_embedding", -2, 0)
    sizes = source.sizes(given)
    config = given or self._new(source, count, sizes, assumptions)
    config = dataclasses.replace(config, **vision_transformer.ends(source))
    return vit_like.sized(config, count, sizes, assumptions)

  def _new(
    self, source: Source, count: int, sizes: Sizes, assumptions: list[str]
  ) -> vit.Config:
    token, probe = source.has("cls"), source.has("MAPHead_0/.*")
    fields = {
      **vision_transformer.sizes(source),
      "pool": "token" if token else "map" if probe else "gap",
      "class_token_position": False,
    }
    if not count:
      assumptions.append("posemb=sincos_2d: the file has no embeddings")
      return vit_like.smallest({**fields, "posemb": "sincos_2d"})
    config = vit_like.smallest(fields)
    own = token and vit_like.own_position(config, count, sizes)
    return dataclasses.replace(config, class_token_position=own)

  def rules(self, config: vit.Config) -> list[Rule]:
    rules = [
      *vision_transformer.blocks(config.depth, scanned=self.scanned),
      *vision_transformer.around(config),
    ]
    if config.posemb != "sincos_2d":
      rules.append(Rule("pos_embedding", "1 N D", "posemb/table", "N D"))
    if config.pool == "map":
      table = [
        ("probe", "probe", "1 1 D"),
        ("LayerNorm_0/scale", "norm/scale", "D"),
        ("LayerNorm_0/bias", "norm/bias", "D"),
        *vision_transformer.attention_and_mlp(),
      ]
      rules += [Rule(f"MAPHead_0/{a}", x, f"pool/{b}", x) for a, b, x in table]
    return rules

  def objections(self, config: vit.Config) -> list[str]:
    if (config.posemb, config.posemb_at) == ("sincos_2d", "stem"):
      config = dataclasses.replace(config, posemb="learned_1d")
    pools = ("token", "gap", "map")
    return vit_like.objections(config, *pools, norm_at="tokens")

  def notes(self, config: vit.Config) -> list[str]:
    return vit_like.notes(config, self.format)


class Scanned(BigVision):
  """The same with stacked blocks: `Transformer/encoderblock` [L, ...]."""

  format = "big_vision_scan"
  marks = (r"Transformer/encoderblock/.*",)
  scanned = True
