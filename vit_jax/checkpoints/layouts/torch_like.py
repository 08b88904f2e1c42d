"""What the safetensors files of PyTorch's programs have in common."""

from collections.abc import Mapping, Sequence
import re
import types
from typing import Any, ClassVar

from vit_jax.checkpoints import safetensors_io
from vit_jax.checkpoints.base import Layout, Size, Source
from vit_jax.checkpoints.keys import Rule, layer

_NAMES = (".weight", ".bias")
_CONV = ("O I kh kw", "kh kw I O")
# (their axes, our axes) of the kernels in a block.
_AXES = {
  "attention/{S}": ("(S H K) D", "D H K"),
  "attention/query": ("(H K) D", "D H K"),
  "attention/key": ("(H K) D", "D H K"),
  "attention/value": ("(H K) D", "D H K"),
  "attention/out": ("D (H K)", "H K D"),
  "mlp/hidden": ("M D", "D M"),
  "mlp/out": ("D M", "M D"),
}


class TorchLike(Layout):
  """A model of a PyTorch program.

  Attributes:
    head: what the names of its classifier begin with.
    pixels: the module that knows how the program prepares images.
  """

  container = safetensors_io
  resize = "bicubic"
  head: ClassVar[str]
  pixels: ClassVar[types.ModuleType]

  def ends(self, source: Source) -> dict[str, Any]:
    head = re.escape(self.head) + r"\.(weight|bias)"
    return {"num_classes": source.size(head, 0, 0)}

  def pixel_notes(
    self, config: Any, preprocess: str, channels: int
  ) -> list[str]:
    return self.pixels.words(preprocess, config.image_size, channels)[1]


def norm(theirs: str, ours: str, stack: str = "", **labels: Any) -> list[Rule]:
  """The rules of a norm; see `linear`."""
  return layer(theirs, ours, ("D", "D"), (f"{stack}D",) * 2, _NAMES, **labels)


def linear(
  theirs: str,
  ours: str,
  their_axes: str = "O I",
  our_axes: str = "I O",
  stack: str = "",
  **labels: Sequence[str],
) -> list[Rule]:
  """The rules of a dense layer or of a convolution with a bias.

  Args:
    theirs: what their names begin with.
    ours: what ours begin with.
    their_axes: axes of their kernel; the first, or the first group, is the
      bias's.
    our_axes: axes of our kernel.
    stack: "L " where ours is stacked over blocks.
    **labels: see `Rule`.
  """
  joined = their_axes.startswith("(")
  bias = their_axes.partition(")" if joined else " ")[0] + ")" * joined
  outputs = [x for x in our_axes.split() if x in bias.strip("()").split()]
  ours_axes = (stack + our_axes, stack + " ".join(outputs))
  return layer(theirs, ours, (their_axes, bias), ours_axes, _NAMES, **labels)


def conv(theirs: str, ours: str) -> Rule:
  """The rule of a convolution's kernel."""
  return Rule(f"{theirs}.weight", _CONV[0], f"{ours}/kernel", _CONV[1])


def patches(theirs: str) -> list[Rule]:
  """The rules of the patch embedding."""
  return linear(theirs, "embedding", *_CONV)


def block(
  names: Mapping[str, str], theirs: str, ours: str, layers: Sequence[str] = ()
) -> list[Rule]:
  """The rules of a pre-norm block, or of a stack with these labels {L}.

  `names` has their modules' names by ours, as `timm.BLOCK`; what the names of
  all begin with is `theirs` and `ours`.
  """
  stack, labels = ("L ", {"L": layers}) if layers else ("", {})
  rules = []
  for our_name, their_name in names.items():
    a, b = f"{theirs}.{their_name}", f"{ours}/{our_name}"
    if our_name.startswith("norm"):
      rules += norm(a, b, stack, **labels)
    elif our_name.endswith("relative_bias"):
      rules.append(Rule(a, "(rh rw) H", b, f"{stack}rh rw H", labels))
    else:
      axes = _AXES[our_name]
      more = {"S": ("query", "key", "value")} if "{S}" in our_name else {}
      rules += linear(a, b, *axes, stack, **labels, **more)
  return rules


def in_order(names: Any) -> Sequence[Any]:
  """Names, from a list or a dict by number; empty if one is missing."""
  if isinstance(names, dict):
    names = [names.get(str(i)) for i in range(len(names))]
  return () if None in names else names


def pair(value: Any) -> Size:
  """(height, width) from one number or two."""
  return (value, value) if isinstance(value, int) else tuple(value)


def patch_size(source: Source, name: str, default: int) -> Size:
  """(height, width) of a patch, from the kernel of its embedding."""
  return source.size(name, 2, default), source.size(name, 3, default)
