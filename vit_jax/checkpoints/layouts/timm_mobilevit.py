"""timm's MobileViT."""

from typing import Any

from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.checkpoints.layouts import timm
from vit_jax.models import mobilevit

_STAGE = r"stages\.(\d+)\.\d+\..*"


class TimmMobileVit(timm.Timm):
  """MobileViT: stages.0.0.conv1_1x1.conv..."""

  model = "mobilevit"
  marks = (r"stages\.\d+\.\d+\.(conv1_1x1|conv_kxk|transformer)\..*",)

  def infer(self, source: Source, given: mobilevit.Config | None) -> Inferred:
    classes = source.size(r"head\.fc\.(weight|bias)", 0, 0)
    if given:
      return Inferred(timm.replaced(given, classes))
    args = timm.model_args(source)
    stages = range(source.count(_STAGE))
    residuals, blocks = (
      r"stages\.{}\.(\d+)\.conv1_1x1\..*",
      r"stages\.{}\.\d+\.",
    )
    deep = [
      i for i in stages if source.has(blocks.format(i) + r"transformer\..*")
    ]
    out = r"stages\.{}\.\d+\.conv3_1x1\.bn\..*"
    norm = blocks + r"transformer\.\d+\.norm\d\..*"
    stem = source.size(r"stem\.(conv|bn)\..*", 0, 16)
    inner = source.size(r"stages\.0\.0\.conv1_1x1\.(conv|bn)\..*", 0, 4 * stem)
    widths = tuple(source.size(norm.format(i), 0, 96) for i in deep)
    first = widths[0] if widths else 1
    hidden = blocks + r"transformer\.\d+\.mlp\.fc1\..*"
    assumptions = []
    if "img_size" not in args and not source.image_size:
      assumptions.append("images of (256, 256) px: the file does not tell")
    assumptions.append("num_heads=4: a fused qkv does not tell")
    config = mobilevit.Config(
      num_classes=classes,
      image_size=source.image_size or timm.pair(args.get("img_size", 256)),
      stem_width=stem,
      widths=tuple(source.size(out.format(i), 0, 32) for i in stages),
      depths=tuple(source.count(residuals.format(i)) for i in stages),
      expansion=inner // stem,
      transformer_widths=widths,
      transformer_depths=tuple(
        source.count(blocks.format(i) + r"transformer\.(\d+)\..*") for i in deep
      ),
      mlp_ratio=(
        source.size(hidden.format(deep[0]), 0, 2) / first if deep else 2.0
      ),
      width=source.size(r"final_conv\.(conv|bn)\..*", 0, 640),
    )
    return Inferred(config, assumptions)

  def rules(self, config: mobilevit.Config) -> list[Rule]:
    rules = [
      *_conv_norm("stem", "stem"),
      *_conv_norm("final_conv", "last"),
    ]
    without = len(config.widths) - len(config.transformer_widths)
    for i, depth in enumerate(config.depths):
      for j in range(depth):
        theirs, ours = f"stages.{i}.{j}", f"stage{i}_residual{j}"
        rules += _conv_norm(f"{theirs}.conv1_1x1", f"{ours}/expand")
        rules += _conv_norm(f"{theirs}.conv2_kxk", f"{ours}/depth")
        rules += _conv_norm(f"{theirs}.conv3_1x1", f"{ours}/project")
      if i >= without:
        layers = config.transformer_depths[i - without]
        theirs, ours = f"stages.{i}.{depth}", f"stage{i}_transformer"
        embed = f"{ours}/embed/kernel"
        rules += [
          *_conv_norm(f"{theirs}.conv_kxk", f"{ours}/local"),
          Rule(f"{theirs}.conv_1x1.weight", "O I 1 1", embed, "I O"),
          *timm.norm(f"{theirs}.norm", f"{ours}/norm"),
          *_conv_norm(f"{theirs}.conv_proj", f"{ours}/project"),
          *_conv_norm(f"{theirs}.conv_fusion", f"{ours}/fuse"),
        ]
        for n in range(layers):
          rules += timm.block(f"{theirs}.transformer.{n}", f"{ours}/block{n}")
    if config.num_classes:
      rules += timm.linear("head.fc", "head")
    return rules

  def objections(self, config: mobilevit.Config) -> list[str]:
    known = [mobilevit.variant(size) for size in mobilevit.VARIANTS]
    shape = ("stem_width", "widths", "depths", "expansion", "width")
    shape += ("transformer_widths", "transformer_depths", "num_heads")
    shape += ("mlp_ratio", "patch_size")
    for other in known:
      if all(getattr(config, x) == getattr(other, x) for x in shape):
        return []
    return ["sizes that are not those of XXS, XS or S"]

  def describe(self, config: mobilevit.Config) -> dict[str, Any]:
    size = next(
      size
      for size, fields in mobilevit.VARIANTS.items()
      if fields["width"] == config.width
    )
    return {
      "architecture": f"mobilevit_{size.lower()}",
      "num_classes": config.num_classes,
      "num_features": config.width,
      "global_pool": "avg",
    }


def _conv_norm(theirs: str, ours: str) -> list[Rule]:
  stats = "batch_stats/"
  return [
    timm.conv(f"{theirs}.conv", f"{ours}/conv"),
    *timm.norm(f"{theirs}.bn", f"{ours}/norm"),
    Rule(f"{theirs}.bn.running_mean", "D", f"{stats}{ours}/norm/mean", "D"),
    Rule(f"{theirs}.bn.running_var", "D", f"{stats}{ours}/norm/var", "D"),
  ]
