"""timm's ResNetV2 with GroupNorm: BiT."""

from typing import Any

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.checkpoints.layouts import timm
from vit_jax.models import bit

_CONSTRUCTORS = tuple(
  f"resnetv2_{size}_bit"
  for size in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4")
)


class TimmBit(timm.Timm):
  """BiT: stages.0.blocks.0.conv1..."""

  model = "bit"
  marks = (r"stages\.\d+\.blocks\.\d+\.conv\d\.weight",)

  def infer(self, source: Source, given: bit.Config | None) -> Inferred:
    classes = source.size(r"head\.fc\.(weight|bias)", 0, 0)
    if given:
      return Inferred(timm.replaced(given, classes))
    stages = range(source.count(r"stages\.(\d+)\..*"))
    blocks = r"stages\.{}\.blocks\.(\d+)\..*"
    said = timm.model_args(source).get("img_size", 224)
    config = bit.Config(
      num_classes=classes,
      image_size=source.image_size or timm.pair(said),
      depths=tuple(source.count(blocks.format(i)) for i in stages),
      width_factor=source.size(r"stem\.conv\.weight", 0, 64) / 64,
      standardization="var + 1e-8",
      root_padding="zeros",
    )
    return Inferred(config)

  def rules(self, config: bit.Config) -> list[Rule]:
    rules = [timm.conv("stem.conv", "root"), *timm.norm("norm", "norm")]
    for i, depth in enumerate(config.depths):
      for j in range(depth):
        theirs = f"stages.{i}.blocks.{j}"
        ours = f"stage{i + 1}_unit{j + 1:02}"
        for n in (1, 2, 3):
          rules.append(timm.conv(f"{theirs}.conv{n}", f"{ours}/conv{n}"))
          rules += timm.norm(f"{theirs}.norm{n}", f"{ours}/norm{n}")
        if not j:
          name = f"{theirs}.downsample.conv"
          rules.append(timm.conv(name, f"{ours}/conv_shortcut"))
    if config.num_classes:
      rules += timm.linear("head.fc", "head", "O I 1 1", "I O")
    return rules

  def objections(self, config: bit.Config) -> list[str]:
    return []

  def notes(self, config: bit.Config) -> list[str]:
    found = layout.differences(
      config, "timm", standardization="var + 1e-8", root_padding="zeros"
    )
    name = self.describe(config)["architecture"]
    if name not in _CONSTRUCTORS:
      found.append(f"timm has no constructor called {name}")
    return found

  def describe(self, config: bit.Config) -> dict[str, Any]:
    names: dict[tuple[int, ...], str] = {
      depths: name for name, depths in bit.DEPTHS.items()
    }
    depths = "".join(map(str, config.depths))
    number = names.get(config.depths, depths).removeprefix("R")
    return {
      "architecture": f"resnetv2_{number}x{config.width_factor:g}_bit",
      "num_classes": config.num_classes,
      "num_features": int(2048 * config.width_factor),
      "global_pool": "avg",
    }
