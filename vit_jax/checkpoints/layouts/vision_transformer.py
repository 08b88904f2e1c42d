"""ViT and hybrid npz files of google-research's vision_transformer.

AugReg's (arXiv:2106.10270) are among them.
"""

import dataclasses
from typing import Any

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.checkpoints.layouts import vit_like
from vit_jax.models import hybrid, vit

POSITIONS = "Transformer/posembed_input/pos_embedding"

# (theirs, ours, axes) of the modules of a block.
_MODULES = (
  ("LayerNorm_0/scale", "norm_attention/scale", "D"),
  ("LayerNorm_0/bias", "norm_attention/bias", "D"),
  ("LayerNorm_1/scale", "norm_mlp/scale", "D"),
  ("LayerNorm_1/bias", "norm_mlp/bias", "D"),
)
_PARTS = (
  ("MultiHeadDotProductAttention_0", "attention"),
  ("MlpBlock_0/Dense_0", "mlp/hidden"),
  ("MlpBlock_0/Dense_1", "mlp/out"),
)
_AXES = {
  "attention": (
    ("query/kernel", "D H K"),
    ("query/bias", "H K"),
    ("key/kernel", "D H K"),
    ("key/bias", "H K"),
    ("value/kernel", "D H K"),
    ("value/bias", "H K"),
    ("out/kernel", "H K D"),
    ("out/bias", "D"),
  ),
  "mlp/hidden": (("kernel", "D M"), ("bias", "M")),
  "mlp/out": (("kernel", "M D"), ("bias", "D")),
}


def attention_and_mlp() -> list[tuple[str, str, str]]:
  """(theirs, ours, axes) of what blocks and attention pooling have."""
  return [
    (f"{theirs}/{part}", f"{ours}/{part}", axes)
    for theirs, ours in _PARTS
    for part, axes in _AXES[ours]
  ]


def blocks(depth: int, *, scanned: bool = False) -> list[Rule]:
  """The rules of the encoder's blocks.

  Args:
    depth: L.
    scanned: theirs are stacked as well.
  """
  table = [*_MODULES, *attention_and_mlp()]
  if scanned:
    return [
      Rule(f"Transformer/encoderblock/{a}", f"L {x}", f"blocks/{b}", f"L {x}")
      for a, b, x in table
    ]
  labels = {"L": layout.numbers(depth)}
  name = "Transformer/encoderblock_{L}"
  return [
    Rule(f"{name}/{a}", x, f"blocks/{b}", f"L {x}", labels) for a, b, x in table
  ]


def around(config: vit.Config) -> list[Rule]:
  """The rules of all but the blocks and the position embeddings."""
  table = [
    ("embedding/kernel", "embedding/kernel", "ph pw c D"),
    ("embedding/bias", "embedding/bias", "D"),
    ("Transformer/encoder_norm/scale", "norm/scale", "D"),
    ("Transformer/encoder_norm/bias", "norm/bias", "D"),
  ]
  if config.class_token:
    table.append(("cls", "class_token", "1 1 D"))
  if config.pre_logits_dim:
    table.append(("pre_logits/kernel", "pre_logits/kernel", "D R"))
    table.append(("pre_logits/bias", "pre_logits/bias", "R"))
  if config.num_classes:
    table.append(("head/kernel", "head/kernel", "R C"))
    table.append(("head/bias", "head/bias", "C"))
  return [Rule(a, x, b, x) for a, b, x in table]


def sizes(source: Source) -> dict[str, Any]:
  """The fields of a ViT's encoder, as the majority of shapes tells them."""
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


def ends(source: Source) -> dict[str, Any]:
  """The fields of what follows the pooling."""
  return dict(
    num_classes=source.size("head/(kernel|bias)", -1, 0),
    pre_logits_dim=source.size("pre_logits/(kernel|bias)", -1, 0),
  )


class VisionTransformer(layout.Layout):
  """ViT; the class token has a position embedding."""

  format = "vision_transformer"
  container = layout.NPZ
  model = "vit"
  marks = (r"Transformer/encoderblock_\d+/.*", POSITIONS)
  # Before Flax Linen all modules of a block were numbered in one row.
  renamed = (
    (r"^(Transformer/encoderblock_\d+/Multi\w+)_1/", r"\1_0/"),
    (r"^(Transformer/encoderblock_\d+/LayerNorm)_2/", r"\1_1/"),
    (r"^(Transformer/encoderblock_\d+/MlpBlock)_3/", r"\1_0/"),
  )

  def infer(self, source: Source, given: vit.Config | None) -> Inferred:
    config = given or self._new(source)
    config = dataclasses.replace(config, **ends(source))
    count = source.size(POSITIONS, -2, 0)
    return vit_like.sized(config, count, source.sizes(given), [])

  def _new(self, source: Source) -> vit.Config:
    pool = "token" if source.has("cls") else "gap"
    return vit_like.smallest({**sizes(source), "pool": pool})

  def rules(self, config: vit.Config) -> list[Rule]:
    return [
      Rule(POSITIONS, "1 N D", "posemb/table", "N D"),
      *blocks(config.depth),
      *around(config),
    ]

  def objections(self, config: vit.Config) -> list[str]:
    token = config.class_token
    return vit_like.objections(
      config,
      *("token", "gap"),
      norm_at="tokens",
      class_token_position=token or config.class_token_position,
    )

  def notes(self, config: vit.Config) -> list[str]:
    return vit_like.notes(config, self.format)


class Hybrid(VisionTransformer):
  """A ViT on the feature map of a ResNet: conv_root, block1/unit1/conv1..."""

  model = "hybrid"
  marks = (*VisionTransformer.marks, r"(conv_root|gn_root|block\d+/unit\d+)/.*")

  # Files from before Flax 0.3.6 have three axes more.
  vectors = (r".*gn(\d|_root|_proj)/(scale|bias)",)

  def _new(self, source: Source) -> hybrid.Config:
    depths: list[int] = []
    while units := source.count(rf"block{len(depths) + 1}/unit(\d+)/.*"):
      # They count from 1, so that the count is one too high.
      depths.append(units - 1)
    root = source.size("(conv_root|gn_root)/(kernel|scale|bias)", -1, 64)
    return vit_like.smallest_hybrid(
      {
        **sizes(source),
        "pool": "token" if source.has("cls") else "gap",
        "resnet_depths": tuple(depths),
        "resnet_width_factor": root / 64,
      }
    )

  def notes(self, config: Any) -> list[str]:
    theirs: dict[str, Any] = dict(
      standardization="std + 1e-5", group_norm_epsilon=1e-6
    )
    more = layout.differences(config, self.format, **theirs)
    return [*super().notes(config), *more]

  def rules(self, config: Any) -> list[Rule]:
    kernel = "kh kw I O"
    rules = [
      Rule("conv_root/kernel", kernel, "resnet/conv_root/kernel", kernel),
      *_group_norm("gn_root", "resnet/norm_root"),
    ]
    for i, depth in enumerate(config.resnet_depths, 1):
      for j in range(1, depth + 1):
        theirs, ours = f"block{i}/unit{j}", f"resnet/stage{i}_unit{j:02}"
        names = {"1": "1", "2": "2", "3": "3"}
        for a, b in (
          names | {"_proj": "_shortcut"} if j == 1 else names
        ).items():
          conv = f"{ours}/conv{b}/kernel"
          rules.append(Rule(f"{theirs}/conv{a}/kernel", kernel, conv, kernel))
          rules += _group_norm(f"{theirs}/gn{a}", f"{ours}/norm{b}")
    return [*super().rules(config), *rules]


def _group_norm(theirs: str, ours: str) -> list[Rule]:
  return [
    Rule(f"{theirs}/{x}", "D", f"{ours}/{x}", "D") for x in ("scale", "bias")
  ]
