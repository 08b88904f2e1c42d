"""timm's ResNetV2 with GroupNorm: BiT."""

from vit_jax.checkpoints.base import Inferred, Source
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import timm, torch_like
from vit_jax.models import bit

_CONSTRUCTORS = tuple(
  f"resnetv2_{size}_bit"
  for size in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4")
)


class TimmBit(timm.Timm):
  """BiT: stages.0.blocks.0.conv1..."""

  model = "bit"
  marks = (r"stages\.\d+\.blocks\.\d+\.conv\d\.weight",)
  implied = {"standardization": "var + 1e-8", "root_padding": "zeros"}

  def new(self, source: Source) -> Inferred:
    size = timm.model_args(source).get("img_size", 224)
    config = bit.Config(
      image_size=source.image_size or torch_like.pair(size),
      depths=source.depths(r"stages\.{}\.blocks\.(\d+)\..*"),
      width_factor=source.size(r"stem\.conv\.weight", 0, 64) / 64,
      standardization="var + 1e-8",
      root_padding="zeros",
    )
    return Inferred(config)

  def rules(self, config: bit.Config) -> list[Rule]:
    rules = [
      torch_like.conv("stem.conv", "root"),
      *torch_like.norm("norm", "norm"),
      *timm.resnet_units("", "", config.depths, shortcut_norm=False),
    ]
    if config.num_classes:
      rules += torch_like.linear(self.head, "head", "O I 1 1", "I O")
    return rules

  def objections(self, config: bit.Config) -> list[str]:
    return []

  def notes(self, config: bit.Config) -> list[str]:
    notes = super().notes(config)
    name = self.architecture(config)
    if name not in _CONSTRUCTORS:
      notes.append(f"timm has no constructor called {name}")
    return notes

  def architecture(self, config: bit.Config) -> str:
    names: dict[tuple[int, ...], str] = {
      depths: name for name, depths in bit.DEPTHS.items()
    }
    depths = "".join(map(str, config.depths))
    number = names.get(config.depths, depths).removeprefix("R")
    return f"resnetv2_{number}x{config.width_factor:g}_bit"

  def features(self, config: bit.Config) -> int:
    return int(2048 * config.width_factor)
