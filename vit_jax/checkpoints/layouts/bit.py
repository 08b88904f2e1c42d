"""BiT npz files: big_vision's names, and those of the first release."""

import dataclasses
from typing import Literal

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.models import bit

_KERNEL = "kh kw I O"


class Bit(layout.Layout):
  """ResNet-v2 as in big_vision: block1/unit01/conv1/kernel..."""

  format = "bit"
  container = layout.NPZ
  model = "bit"
  marks = (r"block\d/unit\d\d/.*",)
  padding: Literal["none", "zeros"] = "none"
  root = "root_block/conv_root/kernel"
  head = "head"
  unit = "block{}/unit{:02}"
  # The three convolutions of a unit, their norms, and the shortcut's.
  convs = ("conv1", "conv2", "conv3", "conv_proj")
  norms = ("gn1", "gn2", "gn3")
  final_norm = "norm-pre-head"
  scale, bias = "scale", "bias"
  norm_axes, kernel_axes = "1 1 1 D", "D C"

  def infer(self, source: Source, given: bit.Config | None) -> Inferred:
    classes = source.size(f"{self.head}/(kernel|bias)", -1, 0)
    if given:
      return Inferred(dataclasses.replace(given, num_classes=classes))
    depths: list[int] = []
    unit = r"(?:resnet/)?block{}/unit(\d+)/.*"
    while units := source.count(unit.format(len(depths) + 1)):
      # They count from 1, so that the count is one too high.
      depths.append(units - 1)
    config = bit.Config(
      num_classes=classes,
      image_size=source.image_size or (224, 224),
      depths=tuple(depths),
      width_factor=source.size(self.root, -1, 64) / 64,
      root_padding=self.padding,
    )
    return Inferred(config)

  def rules(self, config: bit.Config) -> list[Rule]:
    rules = [
      Rule(self.root, _KERNEL, "root/kernel", _KERNEL),
      *self._norm(self.final_norm, "norm"),
    ]
    for i, depth in enumerate(config.depths, 1):
      for j in range(1, depth + 1):
        theirs, ours = self.unit.format(i, j), f"stage{i}_unit{j:02}"
        names = ("conv1", "conv2", "conv3", "conv_shortcut")
        for a, b in list(zip(self.convs, names, strict=True))[: 3 + (j == 1)]:
          kernel = f"{ours}/{b}/kernel"
          rules.append(Rule(f"{theirs}/{a}/kernel", _KERNEL, kernel, _KERNEL))
        for n, a in enumerate(self.norms, 1):
          rules += self._norm(f"{theirs}/{a}", f"{ours}/norm{n}")
    if config.num_classes:
      a, b = f"{self.head}/kernel", f"{self.head}/bias"
      rules.append(Rule(a, self.kernel_axes, "head/kernel", "D C"))
      rules.append(Rule(b, "C", "head/bias", "C"))
    return rules

  def _norm(self, theirs: str, ours: str) -> list[Rule]:
    axes = self.norm_axes
    return [
      Rule(f"{theirs}/{self.scale}", axes, f"{ours}/scale", "D"),
      Rule(f"{theirs}/{self.bias}", axes, f"{ours}/bias", "D"),
    ]

  def objections(self, config: bit.Config) -> list[str]:
    if config.root_padding == self.padding:
      return []
    return [f"root_padding={config.root_padding}"]

  def notes(self, config: bit.Config) -> list[str]:
    form = "var + 1e-10"
    return layout.differences(config, self.format, standardization=form)


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
  scale, bias = "gamma", "beta"
  norm_axes = "D"
