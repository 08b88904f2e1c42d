"""What the safetensors files of PyTorch's programs have in common."""

from collections.abc import Mapping, Sequence
import re
from typing import Any, ClassVar

from vit_jax.checkpoints import safetensors_io
from vit_jax.checkpoints.base import Layout, Size, Source
from vit_jax.checkpoints.keys import Rule, layer
from vit_jax.core import errors

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
  """

  container = safetensors_io
  resize = "bicubic"
  head: ClassVar[str]

  def ends(self, source: Source) -> dict[str, Any]:
    head = re.escape(self.head) + r"\.(weight|bias)"
    return {"num_classes": source.size(head, 0, 0)}


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
    their_axes: of their kernel; the first, or the first group, is the bias's.
    our_axes: of our kernel.
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
  names: Mapping[str, str],
  theirs: str,
  ours: str,
  layers: Sequence[str] = (),
) -> list[Rule]:
  """The rules of a pre-norm block, or of a stack of them.

  Args:
    names: of their modules, by ours, as in `timm.BLOCK`.
    theirs: what their names begin with; with {L} if it is a stack.
    ours: what ours begin with.
    layers: the labels of a stack.
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


def pair(value: Any) -> Size:
  """(height, width) from one number or two."""
  return (value, value) if isinstance(value, int) else tuple(value)


def patch_size(source: Source, name: str, default: int) -> Size:
  """(height, width) of a patch, from the kernel of its embedding."""
  return source.size(name, 2, default), source.size(name, 3, default)


def per_channel(values: Sequence[float], channels: int) -> list[float]:
  """A mean or deviation with one number for each channel.

  Raises:
    CheckpointError: there are several numbers, of other channels.
  """
  if len(values) != channels and len(set(values)) > 1:
    raise errors.CheckpointError(
      f"normalise() has {len(values)} means and deviations for images of"
      f" {channels} channels"
    )
  return list(values) if len(values) == channels else [values[0]] * channels
