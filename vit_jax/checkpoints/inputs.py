"""Preprocessing that a checkpoint was trained with, in our own language.

Read from what timm and transformers keep beside the weights, and written in
their form; otherwise what the code base does is taken.
"""

import ast
from collections.abc import Mapping, Sequence
import contextlib
import math
from typing import Any

from vit_jax.core import errors
from vit_jax.preprocess import geometry, op, pipeline, values

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5,) * 3, (0.5,) * 3)
_UNIT = ((0.0,) * 3, (1.0,) * 3)
# PIL's numbers of the resampling filters.
_FILTERS = {2: "bilinear", 3: "bicubic"}


def jax_default(size: tuple[int, int], format_: str) -> str:
  """How google-research's code bases evaluate at (h, w) px."""
  shown = op.Size(*size)
  if format_.startswith("big_vision") and size[0] == size[1]:
    # Section 3, arXiv:2205.01580: 256 for 224.
    small = round(size[0] * 256 / 224)
    return (
      f"decode|resize_small({small})|central_crop({shown})|value_range(-1, 1)"
    )
  return f"decode|resize({shown})|value_range(-1, 1)"


def of_timm(
  config: Mapping[str, Any], model: str, size: tuple[int, int]
) -> tuple[str, list[str]]:
  """From the pretrained_cfg of a config.json; and what was assumed."""
  hub = config.get("pretrained_cfg", config)
  default = {"swin": _IMAGENET, "mobilevit": _UNIT}.get(model, _HALF)
  assumptions = []
  if "mean" not in hub:
    assumptions.append(
      "preprocessing is timm's for this kind of model: no config.json says"
    )
  mean, std = hub.get("mean", default[0]), hub.get("std", default[1])
  method = hub.get("interpolation", "bicubic")
  if method not in _FILTERS.values():
    assumptions.append(f"{method} resizing is done bicubically")
    method = "bicubic"
  resize = _resize(
    size, hub.get("crop_pct", 0.9), hub.get("crop_mode", "center"), method
  )
  return f"decode|{resize}|{_values(mean, std)}", assumptions


def of_hf(
  config: Mapping[str, Any], size: tuple[int, int]
) -> tuple[str, list[str]]:
  """From a preprocessor_config.json; and what was assumed."""
  assumptions = []
  if not config:
    assumptions.append(
      "preprocessing: resized, pixels in [-1, 1], as there is no"
      " preprocessor_config.json"
    )
  number = config.get("resample", 2)
  if number not in _FILTERS:
    assumptions.append(f"resampling filter {number} is done bilinearly")
  method = _FILTERS.get(number, "bilinear")
  said = config.get("size", {})
  edge = said.get("shortest_edge") if isinstance(said, dict) else None
  if edge and config.get("do_center_crop"):
    resize = _resize(size, min(size) / edge, "center", method)
  else:
    resize = _resize(size, 1.0, "squash", method)
  mean = config.get("image_mean", _HALF[0])
  std = config.get("image_std", _HALF[1])
  if config.get("do_normalize") is False:
    mean, std = _UNIT
  return f"decode|{resize}|{_values(mean, std)}", assumptions


def _resize(size: tuple[int, int], crop: float, mode: str, method: str) -> str:
  shown = op.Size(*size)
  how = f'method="{method}", antialias=True'
  if mode == "squash":
    return f"resize({shown}, {how})"
  small = math.floor(min(size) / crop)
  return f"resize_small({small}, {how})|central_crop({shown})"


def _values(mean: Sequence[float], std: Sequence[float]) -> str:
  if len(set(mean)) == len(set(std)) == 1:
    low, high = -mean[0] / std[0], (1 - mean[0]) / std[0]
    return f"value_range({low:g}, {high:g})"
  return f"normalise({tuple(mean)}, {tuple(std)})"


def checked(text: str) -> str:
  """The text in its usual form.

  Raises:
    ConfigError: it cannot be read, or has an op from outside the package. A
      checkpoint may come from anybody, so reading one imports nothing.
  """
  with contextlib.suppress(AttributeError, SyntaxError, ValueError):
    for node in ast.walk(ast.parse(text.strip(), mode="eval")):
      if isinstance(node, ast.Attribute):
        raise errors.ConfigError(
          f"the checkpoint's preprocessing has {ast.unparse(node)}, an op from"
          " outside of vit_jax, which is not imported for a checkpoint"
        )
  return str(pipeline.Pipeline.parse(text))


def to_timm(text: str, size: tuple[int, int]) -> dict[str, Any]:
  """The pretrained_cfg of a pipeline, as far as timm can say it."""
  found = _ops(text)
  mean, std = _mean_and_std(found)
  crop = found.get(geometry.ResizeSmall)
  return {
    "input_size": [3, *size],
    "fixed_input_size": True,
    "interpolation": _method(found),
    "crop_pct": min(size) / crop.smaller_size if crop else 1.0,
    "crop_mode": "center" if crop else "squash",
    "mean": mean,
    "std": std,
  }


def to_hf(text: str, size: tuple[int, int]) -> dict[str, Any]:
  """The preprocessor_config.json of a pipeline, as far as it can say it."""
  found = _ops(text)
  mean, std = _mean_and_std(found)
  crop = found.get(geometry.ResizeSmall)
  h, w = size
  return {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": (
      {"shortest_edge": crop.smaller_size}
      if crop
      else {"height": h, "width": w}
    ),
    "do_center_crop": bool(crop),
    "crop_size": {"height": h, "width": w},
    "resample": 3 if _method(found) == "bicubic" else 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": mean,
    "image_std": std,
  }


def _ops(text: str) -> dict[type, Any]:
  return {type(o): o for o in pipeline.Pipeline.parse(text).ops}


def _method(found: dict[type, Any]) -> str:
  """The filter of the resize, of the two that all programs have."""
  resize = found.get(geometry.ResizeSmall) or found.get(geometry.Resize)
  return "bicubic" if resize and resize.method == "bicubic" else "bilinear"


def _mean_and_std(found: dict[type, Any]) -> tuple[list[float], list[float]]:
  if values.Normalise in found:
    o = found[values.Normalise]
    return list(o.mean), list(o.std)
  o = found.get(values.ValueRange, values.ValueRange(-1, 1))
  return [-o.vmin / (o.vmax - o.vmin)] * 3, [1 / (o.vmax - o.vmin)] * 3
