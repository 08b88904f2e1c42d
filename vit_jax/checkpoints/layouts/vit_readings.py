"""What a ViT of timm can be, where no config.json tells it."""

from collections.abc import Mapping
import re
from typing import Any

from vit_jax.checkpoints.base import Source, Untold
from vit_jax.checkpoints.layouts import facts, torch_like
from vit_jax.core import errors

CONSTRUCTOR = "VisionTransformer"
# Arguments that show in the names of the tensors, with the values of a plain
# ViT; a ViT of ours is plain in this sense.
PLAIN = {
  "qk_norm": False,
  "scale_attn_norm": False,
  "scale_mlp_norm": False,
  "pre_norm": False,
  "final_norm": True,
  "qkv_bias": True,
  "proj_bias": True,
  "reg_tokens": 0,
  "embed_norm_layer": None,
  "mlp_layer": "mlp",
  "attn_layer": "attention",
  "pos_embed": "learn",
}
# Arguments that change the outputs and show in no tensor.
_UNSEEN = (
  *("num_heads", "act_layer", "norm_layer", "global_pool"),
  *("pool_include_prefix", "block_fn"),
)
_REMEDY = "give num_heads= (--num_heads), or timm's config.json beside it"
_LAYER_NORM = r"layer_?norm(?:\(eps=([\d.e-]+)\))?"


def without_config(
  source: Source,
  config_args: facts.Arguments,
  shown: tuple[Any, ...],
  hybrid: bool,
  assumptions: list[str],
) -> dict[str, Any]:
  """The arguments where no config.json names architecture or heads.

  `shown` is what the tensors show, see `_shape`, and `hybrid` whether patches
  are cut from the feature map of a ResNet; `assumptions` are added to.

  Raises:
    Untold: neither the caller nor timm's architectures with such tensors leave
      just one reading.
  """
  alike = {
    name: args
    for name, args in facts.architectures(CONSTRUCTOR).items()
    if _shape(args) == shown
    and (args["embed_layer"] == "hybridembed") == hybrid
    and source.num_heads in (None, args["num_heads"])
  }
  readings: dict[tuple[str, ...], list[str]] = {}
  for name, args in alike.items():
    reading = tuple(f"{x}={args[x]}" for x in _UNSEEN if args[x] is not None)
    readings.setdefault(reading, []).append(name)
  if len(readings) > 1:
    known = "; ".join(f"{x[0]} has {', '.join(y)}" for y, x in readings.items())
    raise Untold(
      f"{source.path}: no config.json names an architecture, and several of"
      f" timm's have such tensors ({known}); {_REMEDY}"
    )
  if readings:
    ((reading, names),) = readings.items()
    assumptions.append(
      f"{', '.join(reading)}: as in all of timm's architectures with such"
      f" tensors ({names[0]}); there is no config.json"
    )
    args = alike[names[0]]
  elif source.num_heads:
    args = _by_default(source.num_heads, shown, assumptions)
  else:
    raise Untold(
      f"{source.path}: nothing tells num_heads: a fused qkv of width {shown[0]}"
      f" does not, and timm has no architecture with such tensors; {_REMEDY}"
    )
  args = {**args, **config_args.written}
  return {k: v for k, v in args.items() if k != "img_size"}


def _by_default(
  num_heads: int, shown: tuple[Any, ...], assumptions: list[str]
) -> dict[str, Any]:
  """The arguments of a ViT that is none of timm's architectures."""
  *_, token, pooled = shown
  pool = "avg" if pooled or not token else "token"
  assumptions.append(
    f"global_pool={pool}, act_layer=gelu and norms as in timm by default: there"
    " is no config.json"
  )
  own = {"num_heads": num_heads, "global_pool": pool, "class_token": token}
  return {**facts.defaults(CONSTRUCTOR), **own}


def epsilon(source: Source, norm_layer: str | None) -> float:
  """The epsilon of a norm_layer of timm; a CheckpointError for other norms."""
  match = re.fullmatch(_LAYER_NORM, norm_layer or "layernorm")
  if not match:
    raise errors.CheckpointError(
      f"{source.path}: norm_layer={norm_layer} is not supported,"
      " only layer norm"
    )
  return float(match[1] or 1e-6)


def _shape(args: Mapping[str, Any]) -> tuple[Any, ...] | None:
  """What an architecture's tensors show; None of those that show more.

  Width, depth, mlp_dim, patch_size (h, w), whether there is a class token, and
  whether the norm follows the pooling.
  """
  pool, width = args["global_pool"], args["embed_dim"]
  shown = {x: args[x] for x in PLAIN}
  if shown != PLAIN or pool in ("map", "prr") or "class" in args:
    return None
  norm = args["fc_norm"]
  return (
    *(width, args["depth"], int(width * args["mlp_ratio"])),
    *(torch_like.pair(args["patch_size"]), args["class_token"]),
    pool in ("avg", "avgmax", "max") if norm is None else norm,
  )
