"""timm's ResNetV2 with GroupNorm: BiT."""

from collections.abc import Mapping
from typing import Any

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
  implied = {"standardization": "var + 1e-8"}
  fixed_size = False

  constructor = "ResNetV2"
  # Of the classes' defaults, those of what timm calls BiT.
  bit_args = {"stem_type": "fixed", "conv_layer": "stdconv2d(eps=1e-08)"}
  supported = {
    "global_pool": ("avg",),
    "output_stride": (32,),
    "act_layer": ("relu",),
    "norm_layer": ("groupnormact",),
    "avg_down": (False,),
    "preact": (True,),
    "basic": (False,),
    **{name: (value,) for name, value in bit_args.items()},
    "class": (),
  }
  free = (
    *("layers", "channels", "width_factor", "stem_chs", "bottle_ratio"),
    *("drop_rate", "drop_path_rate", "zero_init_last"),
  )

  def check(self, source: Source, values: Mapping[str, Any]) -> None:
    # Where no architecture is named, the names of the tensors are BiT's.
    if not source.config.get("architecture"):
      written = source.config.get("model_args") or {}
      values = {**values, **self.bit_args, **written}
    super().check(source, values)

  def new(self, source: Source) -> Inferred:
    size = self.arguments(source).values.get("img_size", 224)
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
      *timm.resnet_units("", "", config.depths, "norm1", "norm2", "norm3"),
    ]
    if config.num_classes:
      rules += torch_like.linear(self.head, "head", "O I 1 1", "I O")
    return rules

  def objections(self, config: bit.Config) -> list[str]:
    # At 64 px the other padding moves logits by 0.6 of their deviation.
    padding = config.root_padding
    return [f"root_padding={padding}"] * (padding != "zeros")

  def notes(self, config: bit.Config) -> list[str]:
    notes = super().notes(config)
    if not _constructor(config):
      notes.append(
        "timm has no constructor of a BiT with such depths and width; its class"
        " ResNetV2 takes the weights"
      )
    return notes

  def architecture(self, config: bit.Config) -> str:
    return _constructor(config) or _CONSTRUCTORS[0]

  def model_args(self, config: bit.Config) -> dict[str, Any]:
    if _constructor(config):
      return {}
    factor = config.width_factor
    return {"layers": list(config.depths), "width_factor": factor}

  def features(self, config: bit.Config) -> int:
    return int(2048 * config.width_factor)


def _constructor(config: bit.Config) -> str:
  """The name of timm's constructor of this model, or "" if there is none."""
  names: dict[tuple[int, ...], str] = {
    depths: name for name, depths in bit.DEPTHS.items()
  }
  size = names.get(config.depths, "").removeprefix("R")
  name = f"resnetv2_{size}x{config.width_factor:g}_bit"
  return name if name in _CONSTRUCTORS else ""
