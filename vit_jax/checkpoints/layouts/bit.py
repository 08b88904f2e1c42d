"""BiT npz files: big_vision's names, and those of the first release."""

from collections.abc import Callable, Sequence
import functools
from typing import Any, Literal

from vit_jax.checkpoints import npz
from vit_jax.checkpoints.base import Inferred, Layout, Source
from vit_jax.checkpoints.keys import Rule, layer
from vit_jax.models import bit

_KERNEL = "kh kw I O"


def conv(theirs: str, ours: str) -> Rule:
  """The rule of a convolution's kernel."""
  return Rule(f"{theirs}/kernel", _KERNEL, f"{ours}/kernel", _KERNEL)


def units(
  depths: Sequence[int],
  unit: str,
  convs: Sequence[str],
  norms: Sequence[str],
  rule: Callable[[str, str], Rule],
  norm_rules: Callable[[str, str], list[Rule]],
  ours: str = "",
  first: int = 1,
) -> list[Rule]:
  """The rules of the units of a ResNet-v2.

  Args:
    depths: units in each stage.
    unit: their name of a unit, with {} for the numbers of stage and unit.
    convs: their names of the three convolutions and that of the shortcut.
    norms: their names of the three norms and, if it has one, the shortcut's.
    rule: makes the rule of a convolution of two names, theirs and ours.
    norm_rules: likewise those of a norm.
    ours: what our names begin with.
    first: the first number of a stage and of a unit.
  """
  rules = []
  for i, depth in enumerate(depths):
    for j in range(depth):
      theirs = unit.format(i + first, j + first)
      b = f"{ours}stage{i + 1}_unit{j + 1:02}"
      names = ("1", "2", "3") if j else ("1", "2", "3", "_shortcut")
      for a, name in zip(convs, names, strict=False):
        rules.append(rule(theirs + a, f"{b}/conv{name}"))
      for a, name in zip(norms, names, strict=False):
        rules += norm_rules(theirs + a, f"{b}/norm{name}")
  return rules


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
  # The three convolutions of a unit, and that of its shortcut.
  convs = ("conv1", "conv2", "conv3", "conv_proj")
  norms = ("gn1", "gn2", "gn3")
  final_norm = "norm-pre-head"
  norm_names = ("/scale", "/bias")
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
    norm = functools.partial(
      layer,
      axes=(self.norm_axes,) * 2,
      our_axes=("D", "D"),
      names=self.norm_names,
    )
    rules = [
      Rule(self.root, _KERNEL, "root/kernel", _KERNEL),
      *norm(self.final_norm, "norm"),
      *units(
        config.depths, f"{self.unit}/", self.convs, self.norms, conv, norm
      ),
    ]
    if config.num_classes:
      rules += layer(self.head, "head", (self.kernel_axes, "C"), ("D C", "C"))
    return rules

  def objections(self, config: bit.Config) -> list[str]:
    if config.root_padding == self.padding:
      return []
    return [f"root_padding={config.root_padding}"]


class FirstRelease(Bit):
  """The same model: resnet/block1/unit01/a/standardized_conv2d/kernel..."""

  format = "bit_first_release"
  marks = (r"resnet/block\d/unit\d\d/.*",)
  # Some files number their convolutions throughout.
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
  norm_names = ("/gamma", "/beta")
  norm_axes = "D"
