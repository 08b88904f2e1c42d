"""BiT npz files: big_vision's names, and those of the first release."""

from collections.abc import Sequence
from typing import Any, Literal

from vit_jax.checkpoints import npz
from vit_jax.checkpoints.base import Inferred, Layout, Source
from vit_jax.checkpoints.keys import Rule
from vit_jax.models import bit

_KERNEL = "kh kw I O"


def units(
  depths: Sequence[int],
  unit: str,
  convs: Sequence[str],
  norms: Sequence[str],
  scale_and_bias: Sequence[str] = ("scale", "bias"),
  axes: str = "D",
  ours: str = "",
) -> list[Rule]:
  """The rules of the units of a ResNet-v2.

  Args:
    depths: units in each stage.
    unit: their name of a unit, with {} for the numbers of stage and unit.
    convs: their names of the three convolutions and that of the shortcut.
    norms: their names of the three norms and, if it has one, the shortcut's.
    scale_and_bias: their names of the parts of a norm.
    axes: of these parts.
    ours: what our names begin with.
  """
  rules = []
  for i, depth in enumerate(depths, 1):
    for j in range(1, depth + 1):
      theirs, our_unit = unit.format(i, j), f"{ours}stage{i}_unit{j:02}"
      names = ("1", "2", "3", "_shortcut") if j == 1 else ("1", "2", "3")
      for a, b in zip(convs, names, strict=False):
        kernel = f"{our_unit}/conv{b}/kernel"
        rules.append(Rule(f"{theirs}/{a}/kernel", _KERNEL, kernel, _KERNEL))
      for a, b in zip(norms, names, strict=False):
        norm = f"{our_unit}/norm{b}"
        rules += group_norm(f"{theirs}/{a}", norm, scale_and_bias, axes)
  return rules


def group_norm(
  theirs: str,
  ours: str,
  scale_and_bias: Sequence[str] = ("scale", "bias"),
  axes: str = "D",
) -> list[Rule]:
  """The rules of a norm; see `units`."""
  return [
    Rule(f"{theirs}/{a}", axes, f"{ours}/{b}", "D")
    for a, b in zip(scale_and_bias, ("scale", "bias"), strict=True)
  ]


class Bit(Layout):
  """ResNet-v2 as in big_vision: block1/unit01/conv1/kernel..."""

  format = "bit"
  export = "npz"
  container = npz
  model = "bit"
  marks = (r"block\d/unit\d\d/.*",)
  implied = {"standardization": "var + 1e-10"}
  padding: Literal["none", "zeros"] = "none"
  root = "root_block/conv_root/kernel"
  head = "head"
  unit = "block{}/unit{:02}"
  # The three convolutions of a unit, and the shortcut's.
  convs = ("conv1", "conv2", "conv3", "conv_proj")
  norms = ("gn1", "gn2", "gn3")
  final_norm = "norm-pre-head"
  scale_and_bias = ("scale", "bias")
  norm_axes, kernel_axes = "1 1 1 D", "D C"

  def new(self, source: Source) -> Inferred:
    unit = self.unit.replace("{:02}", r"(\d+)")
    config = bit.Config(
      image_size=source.image_size or (224, 224),
      depths=source.depths(f"{unit}/.*", first=1),
      width_factor=source.size(self.root, -1, 64) / 64,
      root_padding=self.padding,
    )
    return Inferred(config)

  def ends(self, source: Source) -> dict[str, Any]:
    return {"num_classes": source.size(f"{self.head}/(kernel|bias)", -1, 0)}

  def rules(self, config: bit.Config) -> list[Rule]:
    norm = self.scale_and_bias, self.norm_axes
    rules = [
      Rule(self.root, _KERNEL, "root/kernel", _KERNEL),
      *group_norm(self.final_norm, "norm", *norm),
      *units(config.depths, self.unit, self.convs, self.norms, *norm),
    ]
    if config.num_classes:
      a, b = f"{self.head}/kernel", f"{self.head}/bias"
      rules.append(Rule(a, self.kernel_axes, "head/kernel", "D C"))
      rules.append(Rule(b, "C", "head/bias", "C"))
    return rules

  def objections(self, config: bit.Config) -> list[str]:
    if config.root_padding == self.padding:
      return []
    return [f"root_padding={config.root_padding}"]


class FirstRelease(Bit):
  """The same model: resnet/block1/unit01/a/standardized_conv2d/kernel..."""

  format = "bit_first_release"
  marks = (r"resnet/block\d/unit\d\d/.*",)
  # Some files number the convolutions of the whole graph.
  renamed = ((r"/standardized_conv2d_\d+/", "/standardized_conv2d/"),)
  padding = "zeros"
  root = "resnet/root_block/standardized_conv2d/kernel"
  head, kernel_axes = "resnet/head/conv2d", "1 1 D C"
  unit = "resnet/block{}/unit{:02}"
  convs = tuple(
    f"{part}/standardized_conv2d" for part in ("a", "b", "c", "a/proj")
  )
  norms = ("a/group_norm", "b/group_norm", "c/group_norm")
  final_norm = "resnet/group_norm"
  scale_and_bias = ("gamma", "beta")
  norm_axes = "D"
