"""timm's MobileViT."""

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import Inferred, Source
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import timm, torch_like
from vit_jax.models import mobilevit

# Fields whose values the variants of timm fix.
_FIXED = (
  *("stem_width", "widths", "depths", "expansion", "width"),
  *("transformer_widths", "transformer_depths", "num_heads"),
  *("mlp_ratio", "patch_size"),
)


class TimmMobileVit(timm.Timm):
  """MobileViT: stages.0.0.conv1_1x1.conv..."""

  model = "mobilevit"
  marks = (r"stages\.\d+\.\d+\.(conv1_1x1|conv_kxk|transformer)\..*",)
  mean_and_std = preprocessing.UNIT

  constructor = "ByobNet"
  fixed_size = False
  supported = {
    "global_pool": (None, "avg"),
    "output_stride": (32,),
    "class": (),
  }
  free = (
    *("drop_rate", "drop_block_rate", "drop_block_size", "drop_path_rate"),
    "zero_init_last",
  )

  def new(self, source: Source) -> Inferred:
    args = self.arguments(source).values
    depths = source.depths(r"stages\.{}\.(\d+)\.conv1_1x1\..*")
    stages = [rf"stages\.{i}\.\d+\." for i in range(len(depths))]
    deep = [x for x in stages if source.has(rf"{x}transformer\..*")]
    stem = source.size(r"stem\.(conv|bn)\..*", 0, 16)
    inner = source.size(r"stages\.0\.0\.conv1_1x1\.(conv|bn)\..*", 0, 4 * stem)
    norm = r"transformer\.\d+\.norm\d\..*"
    widths = tuple(source.size(x + norm, 0, 96) for x in deep)
    assumptions = []
    if not args.get("img_size") and not source.image_size:
      assumptions.append("images of (256, 256) px: the file does not tell")
    assumptions.append(
      "num_heads=4: a fused qkv does not tell, and all MobileViTs of timm have"
      " as many"
    )
    size = args.get("img_size") or 256
    mlp_ratio = 2.0
    if deep:
      hidden = source.size(rf"{deep[0]}transformer\.\d+\.mlp\.fc1\..*", 0, 2)
      mlp_ratio = hidden / widths[0]
    config = mobilevit.Config(
      image_size=source.image_size or torch_like.pair(size),
      stem_width=stem,
      widths=tuple(
        source.size(rf"{x}conv3_1x1\.bn\..*", 0, 32) for x in stages
      ),
      depths=depths,
      expansion=inner // stem,
      transformer_widths=widths,
      transformer_depths=tuple(
        source.count(rf"{x}transformer\.(\d+)\..*") for x in deep
      ),
      mlp_ratio=mlp_ratio,
      width=source.size(r"final_conv\.(conv|bn)\..*", 0, 640),
    )
    return Inferred(config, assumptions)

  def rules(self, config: mobilevit.Config) -> list[Rule]:
    rules = [*_conv_norm("stem", "stem"), *_conv_norm("final_conv", "last")]
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
          *torch_like.norm(f"{theirs}.norm", f"{ours}/norm"),
          *_conv_norm(f"{theirs}.conv_proj", f"{ours}/project"),
          *_conv_norm(f"{theirs}.conv_fusion", f"{ours}/fuse"),
        ]
        for n in range(layers):
          rules += torch_like.block(
            timm.BLOCK, f"{theirs}.transformer.{n}", f"{ours}/block{n}"
          )
    if config.num_classes:
      rules += torch_like.linear(self.head, "head")
    return rules

  def objections(self, config: mobilevit.Config) -> list[str]:
    fixed = [getattr(config, name) for name in _FIXED]
    for size in mobilevit.VARIANTS:
      variant = mobilevit.variant(size)
      if fixed == [getattr(variant, name) for name in _FIXED]:
        return []
    return ["sizes that are not those of XXS, XS or S"]

  def architecture(self, config: mobilevit.Config) -> str:
    widths = {x["width"]: size for size, x in mobilevit.VARIANTS.items()}
    return f"mobilevit_{widths[config.width].lower()}"


def _conv_norm(theirs: str, ours: str) -> list[Rule]:
  stats = "batch_stats/"
  return [
    torch_like.conv(f"{theirs}.conv", f"{ours}/conv"),
    *torch_like.norm(f"{theirs}.bn", f"{ours}/norm"),
    Rule(f"{theirs}.bn.running_mean", "D", f"{stats}{ours}/norm/mean", "D"),
    Rule(f"{theirs}.bn.running_var", "D", f"{stats}{ours}/norm/var", "D"),
  ]
