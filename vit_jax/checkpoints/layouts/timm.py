"""What timm's safetensors files have in common, and how they say it."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layout import Source

_QKV = ("query", "key", "value")
# (theirs, its axes, ours, its axes) of a pre-norm block.
_BLOCK = (
  ("norm1.weight", "D", "norm_attention/scale", "D"),
  ("norm1.bias", "D", "norm_attention/bias", "D"),
  ("attn.qkv.weight", "(S H K) D", "attention/{S}/kernel", "D H K"),
  ("attn.qkv.bias", "(S H K)", "attention/{S}/bias", "H K"),
  ("attn.proj.weight", "D (H K)", "attention/out/kernel", "H K D"),
  ("attn.proj.bias", "D", "attention/out/bias", "D"),
  ("norm2.weight", "D", "norm_mlp/scale", "D"),
  ("norm2.bias", "D", "norm_mlp/bias", "D"),
  ("mlp.fc1.weight", "M D", "mlp/hidden/kernel", "D M"),
  ("mlp.fc1.bias", "M", "mlp/hidden/bias", "M"),
  ("mlp.fc2.weight", "D M", "mlp/out/kernel", "M D"),
  ("mlp.fc2.bias", "D", "mlp/out/bias", "D"),
)


def block(
  theirs: str, ours: str, layers: tuple[str, ...] = (), more: Any = ()
) -> list[Rule]:
  """The rules of a block, or of a stack of them.

  Args:
    theirs: what their names begin with; with {L} if it is a stack.
    ours: what ours begin with.
    layers: the labels of a stack.
    more: further rows of the table.
  """
  labels = {"S": _QKV, **({"L": layers} if layers else {})}
  stack = "L " if layers else ""
  return [
    Rule(f"{theirs}.{a}", x, f"{ours}/{b}", stack + y, labels)
    for a, x, b, y in (*_BLOCK, *more)
  ]


def norm(theirs: str, ours: str) -> list[Rule]:
  """The rules of a norm."""
  return [
    Rule(f"{theirs}.weight", "D", f"{ours}/scale", "D"),
    Rule(f"{theirs}.bias", "D", f"{ours}/bias", "D"),
  ]


def linear(
  theirs: str, ours: str, their_axes: str = "O I", our_axes: str = "I O"
) -> list[Rule]:
  """The rules of a dense layer or of a convolution with a bias."""
  return [
    Rule(f"{theirs}.weight", their_axes, f"{ours}/kernel", our_axes),
    Rule(f"{theirs}.bias", "O", f"{ours}/bias", "O"),
  ]


def conv(theirs: str, ours: str) -> Rule:
  """The rule of a convolution's kernel."""
  return Rule(f"{theirs}.weight", "O I kh kw", f"{ours}/kernel", "kh kw I O")


def model_args(source: Source) -> Mapping[str, Any]:
  """The arguments that config.json names, with what stands around them."""
  top = source.config
  hub = top.get("pretrained_cfg", {})
  known = {
    key: values[key]
    for values in (hub, top)
    for key in ("num_classes", "global_pool")
    if key in values
  }
  size = hub.get("input_size")
  if size:
    known["img_size"] = size[1:]
  return {**known, **top.get("model_args", {})}


def pair(value: Any) -> tuple[int, int]:
  """(height, width) from one number or two."""
  return (value, value) if isinstance(value, int) else tuple(value)


def patch_size(source: Source, name: str, default: int) -> tuple[int, int]:
  """(height, width) of a patch, from the kernel of its embedding."""
  return source.size(name, 2, default), source.size(name, 3, default)


class Timm(layout.Layout):
  """A model of timm."""

  format = "timm"
  container = layout.SAFETENSORS
  resize = "bicubic"
  ignored = (
    r".*\.num_batches_tracked",
    r".*\.relative_position_index",
    r".*\.attn_mask",
  )


def replaced(given: Any, num_classes: int) -> Any:
  """The config of a given model with the file's number of classes."""
  return dataclasses.replace(given, num_classes=num_classes)
