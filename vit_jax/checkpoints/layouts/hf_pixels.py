"""What transformers' image processors do with an image, in our language."""

from collections.abc import Mapping
import re
from typing import Any

from PIL import Image

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import Size
from vit_jax.core import errors
from vit_jax.preprocess import op

FILE = "preprocessor_config.json"
# Our names of Pillow's resampling filters, by their numbers there.
_FILTERS = {x.value: x.name.lower() for x in sorted(Image.Resampling)}
# What each image processor takes where its file has no such entry.
_VIT = {
  "do_resize": True,
  "size": None,
  "resample": 2,
  "do_center_crop": False,
  "crop_size": None,
  "do_rescale": True,
  "rescale_factor": 1 / 255,
  "do_normalize": True,
  "image_mean": preprocessing.HALF[0],
  "image_std": preprocessing.HALF[1],
}
_CLIP = {
  **_VIT,
  "size": 224,
  "resample": 3,
  "do_center_crop": True,
  "crop_size": 224,
  "image_mean": preprocessing.CLIP[0],
  "image_std": preprocessing.CLIP[1],
}
_PROCESSORS = {
  "ViT": _VIT,
  "Siglip": {**_VIT, "resample": 3},
  "DeiT": {
    **_VIT,
    "size": 256,
    "resample": 3,
    "do_center_crop": True,
    "crop_size": 224,
  },
  "Bit": _CLIP,
  "CLIP": _CLIP,
  "ConvNext": {**_VIT, "size": 384, "resample": 3, "crop_pct": 0.875},
}
# Those for which a number as the size is that of the shorter side.
_BY_SHORTEST = ("Bit", "CLIP", "ConvNext")
# Entries that change no pixel of an image in RGB.
_INERT = {
  *("image_processor_type", "feature_extractor_type", "processor_class"),
  *("auto_map", "_valid_processor_keys", "default_to_square", "data_format"),
  *("input_data_format", "return_tensors", "do_convert_rgb", "device"),
  *("disable_grouping", "do_reduce_labels", "image_seq_length"),
}


def read(
  config: Mapping[str, Any], size: Size, channels: int
) -> tuple[str, list[str]]:
  """The pipeline of an image processor with Pillow, and what was assumed.

  The config is its file, or empty; the size (h, w) of the model's images in px.

  Raises:
    ConfigError: an entry that is not understood.
  """
  steps, assumptions = _steps(config, size, channels)
  if not config:
    assumptions.append(
      f"preprocessing: resized, pixels in [-1, 1], as there is no {FILE}"
    )
  _, p = _processor(config)
  mean, std = p["image_mean"], p["image_std"]
  if not p["do_normalize"]:
    mean, std = preprocessing.UNIT
  mean, std = (
    [v] * channels if isinstance(v, int | float) else v for v in (mean, std)
  )
  factor = p["rescale_factor"] if p["do_rescale"] else 1
  if factor != 1 / 255:
    mean, std = ([x / (255 * factor) for x in v] for v in (mean, std))
  mean, std, averaged = preprocessing.fitted(mean, std, channels)
  text = preprocessing.described(steps, mean, std, channels)
  return text, assumptions + averaged


def words(
  preprocess: str, size: Size, channels: int
) -> tuple[dict[str, Any], list[str]]:
  """preprocessor_config.json for a pipeline, and what it cannot say."""
  s = preprocessing.settings(preprocess, size, channels)
  notes, resized, fit = list(s.differences), s.resized, s.fit
  is_square = resized[0] == resized[1]
  if fit == "inside" or (fit == "cover" and not is_square):
    notes.append(
      f"preprocessing: transformers has no word for {preprocess}: there images"
      f" are squashed to {size[0]} x {size[1]} px"
    )
    resized, fit = size, "squash"
  crops = fit == "cover" or resized != size
  if fit == "cover" and s.rounding == "nearest":
    notes.append(
      "preprocessing: transformers cuts the longer side of a resized image off"
      " to whole pixels, where here it is rounded"
    )
  if crops and s.crop and s.crop.rounding == "nearest":
    notes.append(
      "preprocessing: transformers' crop of a margin that is odd begins up to"
      " one pixel further up or left"
    )
  kind = "Bit" if fit == "cover" else "DeiT" if crops else "ViT"
  h, w = resized
  sides = {"height": h, "width": w}
  numbers = {name: number for number, name in _FILTERS.items()}
  entries = {
    "image_processor_type": f"{kind}ImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": h} if fit == "cover" else sides,
    "resample": numbers[s.method],
    "do_center_crop": crops,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": s.mean,
    "image_std": s.std,
  }
  if crops:
    entries["crop_size"] = {"height": size[0], "width": size[1]}
  return entries, notes


def _processor(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
  """The kind of an image processor, and its entries with its defaults."""
  name = config.get("image_processor_type") or config.get(
    "feature_extractor_type", "ViTImageProcessor"
  )
  kind = re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", name)
  if kind not in _PROCESSORS:
    raise errors.ConfigError(
      f"image_processor_type={name} of its {FILE} is not supported"
      f" (there are: {', '.join(f'{k}ImageProcessor' for k in _PROCESSORS)});"
      " name the one of these that prepares images in the same way"
    )
  defaults = _PROCESSORS[kind]
  for key, value in config.items():
    if value and key not in defaults and key not in _INERT:
      raise errors.ConfigError(
        f"{key}={value} of its {FILE} is not understood; remove it if"
        " the pixels do not depend on it"
      )
  given = {k: v for k, v in config.items() if k in defaults and v is not None}
  return kind, {**defaults, **given}


def _steps(
  config: Mapping[str, Any], size: Size, channels: int
) -> tuple[list[str], list[str]]:
  """The resize and the crop of an image processor, and what was assumed."""
  kind, p = _processor(config)
  resized, shortest = _sides(p["size"] or size, kind in _BY_SHORTEST)
  crops, assumptions = p["do_center_crop"], []
  out = _sides(p["crop_size"] or size, False)[0] if crops else resized
  if "crop_pct" in p:
    # Below 384 px more than the image is resized, and then cropped; from there
    # on the whole image is squashed.
    crops = shortest = resized[0] < 384
    if crops:
      resized = (int(resized[0] / p["crop_pct"]),) * 2
  elif shortest and not crops:
    shortest = False
    assumptions.append(
      f"preprocessing: {FILE} resizes the shorter side and crops"
      " nothing; images are squashed instead"
    )
  if out != size:
    assumptions.append(
      f"preprocessing: the sizes in {FILE} are for images of {out[0]} x"
      f" {out[1]} px, and are scaled to {size[0]} x {size[1]} px"
    )
    resized = tuple(
      round(side * new / old)
      for side, new, old in zip(resized, size, out, strict=True)
    )
  steps = []
  if p["do_resize"]:
    errors.check_one_of("resample", p["resample"], _FILTERS)
    op_name = "resize_keep_ratio" if shortest else "resize"
    method = preprocessing.PILLOW + _FILTERS[p["resample"]]
    sides = preprocessing.rectangle(*resized)
    steps.append(f"{op_name}({sides}, method='{method}')")
  if crops:
    is_smaller = any(a < b for a, b in zip(resized, size, strict=True))
    fill = f", fill={(0,) * channels}" if is_smaller else ""
    steps.append(f"central_crop({op.Size(*size)}{fill})")
  elif not steps:
    steps.append(f"resize({op.Size(*size)})")
  return steps, assumptions


def _sides(value: Any, is_shortest: bool) -> tuple[Size, bool]:
  """(h, w), and whether both are the wanted length of the shorter side."""
  match value:
    case int():
      sides = (value, value)
    case {"shortest_edge": side, **rest} if not any(rest.values()):
      sides, is_shortest = (side, side), True
    case {"height": h, "width": w} | (h, w):
      sides, is_shortest = (h, w), False
    case _:
      sides = ()
  if not sides or any(type(x) is not int or x < 1 for x in sides):
    raise errors.ConfigError(
      f"size={value} of its {FILE} is not understood (there are: a number >="
      " 1, height and width, shortest_edge)"
    )
  return sides, is_shortest
