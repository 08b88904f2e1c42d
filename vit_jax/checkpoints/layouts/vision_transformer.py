"""ViT and hybrid npz files of google-research's vision_transformer.

AugReg's (arXiv:2106.10270) are among them.
"""

import functools
from typing import Any

from vit_jax.checkpoints import npz
from vit_jax.checkpoints.base import Inferred, Source, numbers
from vit_jax.checkpoints.keys import Rule, layer
from vit_jax.checkpoints.layouts import bit, vit_like
from vit_jax.models import vit

# (theirs, ours, axes of the kernel or scale, axes of the bias) of the modules
# that blocks and attention pooling have.
ATTENTION_AND_MLP = (
  *(
    (f"MultiHeadDotProductAttention_0/{x}", f"attention/{x}", "D H K", "H K")
    for x in ("query", "key", "value")
  ),
  ("MultiHeadDotProductAttention_0/out", "attention/out", "H K D", "D"),
  ("MlpBlock_0/Dense_0", "mlp/hidden", "D M", "M"),
  ("MlpBlock_0/Dense_1", "mlp/out", "M D", "D"),
)
_BLOCK = (
  ("LayerNorm_0", "norm_attention", "D", "D"),
  ("LayerNorm_1", "norm_mlp", "D", "D"),
  *ATTENTION_AND_MLP,
)


def blocks(depth: int, *, scanned: bool = False) -> list[Rule]:
  """The rules of the encoder's blocks; `scanned` if theirs are stacked too."""
  name, stack, labels = "Transformer/encoderblock", "L ", {}
  if not scanned:
    name, stack, labels = f"{name}_{{L}}", "", {"L": numbers(depth)}
  return [
    rule
    for a, b, *axes in _BLOCK
    for rule in layer(
      f"{name}/{a}",
      f"blocks/{b}",
      [stack + x for x in axes],
      ["L " + x for x in axes],
      **labels,
    )
  ]


def around(config: vit.Config) -> list[Rule]:
  """The rules of all but the blocks and the position embeddings."""
  rules = [
    *layer("embedding", "embedding", ("ph pw c D", "D")),
    *layer("Transformer/encoder_norm", "norm", ("D", "D")),
  ]
  if config.class_token:
    rules.append(Rule("cls", "1 1 D", "class_token", "1 1 D"))
  if config.pre_logits_dim:
    rules += layer("pre_logits", "pre_logits", ("D R", "R"))
  if config.num_classes:
    rules += layer("head", "head", ("R C", "C"))
  return rules


def sizes(source: Source) -> dict[str, Any]:
  """The fields of a ViT's encoder, by the majority of the shapes."""
  block = r"Transformer/encoderblock(_\d+)?/"
  norm = block + r"LayerNorm_\d/(scale|bias)"
  looped = source.count(r"Transformer/encoderblock_(\d+)/.*")
  ph, pw = (source.size("embedding/kernel", axis, 16) for axis in (0, 1))
  return dict(
    width=source.size(norm, -1, 768),
    depth=looped or source.size(norm, 0, 12),
    mlp_dim=source.size(block + r".*/Dense_0/(kernel|bias)", -1, 3072),
    num_heads=source.size(block + r"Multi.*/(query|key|value)/.*", -2, 12),
    patch_size=(ph, pw),
  )


class JaxVit(vit_like.VitLike):
  """A ViT of google-research's JAX code, in an npz file."""

  export = "npz"
  container = npz
  token = "cls"
  required = {"norm_at": "tokens"}
  implied = {"gelu": "tanh", "norm_epsilon": 1e-6}

  def ends(self, source: Source) -> dict[str, Any]:
    return dict(
      num_classes=source.size("head/(kernel|bias)", -1, 0),
      pre_logits_dim=source.size("pre_logits/(kernel|bias)", -1, 0),
    )


class VisionTransformer(JaxVit):
  """ViT; the class token has a position embedding."""

  format = "vision_transformer"
  positions = "Transformer/posembed_input/pos_embedding"
  marks = (r"Transformer/encoderblock_\d+/.*", positions)
  pools = ("token", "gap")
  # Before Flax Linen the modules of a block were numbered consecutively.
  renamed = (
    (r"^(Transformer/encoderblock_\d+/Multi\w+)_1/", r"\1_0/"),
    (r"^(Transformer/encoderblock_\d+/LayerNorm)_2/", r"\1_1/"),
    (r"^(Transformer/encoderblock_\d+/MlpBlock)_3/", r"\1_0/"),
  )

  # So are the published files, timm reads no others, and the published code
  # both.
  written_names = (
    (r"^(Transformer/encoderblock_\d+/Multi\w+)_0/", r"\1_1/"),
    (r"^(Transformer/encoderblock_\d+/LayerNorm)_1/", r"\1_2/"),
    (r"^(Transformer/encoderblock_\d+/MlpBlock)_0/", r"\1_3/"),
  )

  def fields(self, source: Source) -> dict[str, Any]:
    """The fields of a ViT, by the names and shapes."""
    return {**sizes(source), "pool": "token" if source.has("cls") else "gap"}

  def new(self, source: Source) -> Inferred:
    return Inferred(vit_like.smallest(self.fields(source)))

  def rules(self, config: vit.Config) -> list[Rule]:
    return [
      Rule(self.positions, "1 N D", "posemb/table", "N D"),
      *blocks(config.depth),
      *around(config),
    ]

  def objections(self, config: vit.Config) -> list[str]:
    objections = super().objections(config)
    if config.class_token and not config.class_token_position:
      objections.append("class_token_position=False")
    return objections


class Hybrid(VisionTransformer):
  """A ViT on the feature map of a ResNet: conv_root, block1/unit1/conv1..."""

  model = "hybrid"
  marks = (*VisionTransformer.marks, r"(conv_root|gn_root|block\d+/unit\d+)/.*")
  # Files from before Flax 0.3.6 have three more axes.
  vectors = (r".*gn(\d|_root|_proj)/(scale|bias)",)
  implied = {
    **VisionTransformer.implied,
    "standardization": "std + 1e-5",
    "group_norm_epsilon": 1e-6,
  }

  def new(self, source: Source) -> Inferred:
    root = source.size("(conv_root|gn_root)/(kernel|scale|bias)", -1, 64)
    fields = {
      **self.fields(source),
      "resnet_depths": source.depths(r"block{}/unit(\d+)/.*", first=1),
      "resnet_width_factor": root / 64,
    }
    return Inferred(vit_like.smallest_hybrid(fields))

  def rules(self, config: Any) -> list[Rule]:
    norm = functools.partial(layer, axes=("D", "D"))
    return [
      *super().rules(config),
      bit.conv("conv_root", "resnet/conv_root"),
      *norm("gn_root", "resnet/norm_root"),
      *bit.units(
        config.resnet_depths,
        "block{}/unit{}/",
        bit.Bit.convs,
        ("gn1", "gn2", "gn3", "gn_proj"),
        bit.conv,
        norm,
        ours="resnet/",
      ),
    ]
