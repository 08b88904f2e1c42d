"""What timm's evaluation does with an image, in our language."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import Size
from vit_jax.core import errors
from vit_jax.preprocess import op

# Values of crop_mode, and what each does with the shape of an image.
_FITS = {"center": "cover", "squash": "squash", "border": "inside"}


def read(
  hub: Mapping[str, Any],
  mean_and_std: tuple[Sequence[float], Sequence[float]],
  size: Size,
  channels: int,
) -> tuple[str, list[str]]:
  """The pipeline of timm.data.create_transform, and what was assumed.

  `hub` is a pretrained_cfg or empty; then mean and deviation are those given.
  The size is (h, w) of the model's images in px.

  Raises:
    ConfigError: an entry that timm does not know.
  """
  assumptions = []
  if hub:
    # What timm takes where pretrained_cfg has no such entry.
    pct, (mean, std) = 0.875, preprocessing.IMAGENET
  else:
    pct, (mean, std) = 0.9, mean_and_std
    assumptions.append(
      "preprocessing is timm's for this kind of model: no config.json says"
    )
  method = hub.get("interpolation") or "bicubic"
  mode = hub.get("crop_mode") or "center"
  errors.check_one_of("interpolation", method, preprocessing.KERNELS)
  errors.check_one_of("crop_mode", mode, tuple(_FITS))
  mean, std, averaged = preprocessing.fitted(
    hub.get("mean") or mean, hub.get("std") or std, channels
  )
  steps = _steps(size, hub.get("crop_pct") or pct, mode, method, mean)
  text = preprocessing.described(steps, mean, std, channels)
  return text, assumptions + averaged


def words(
  preprocess: str, size: Size, channels: int
) -> tuple[dict[str, Any], list[str]]:
  """The entries of pretrained_cfg for a pipeline, and what they cannot say."""
  s = preprocessing.settings(preprocess, size, channels)
  notes, crop = list(s.differences), s.crop
  pct = _crop_pct(size, s.resized)
  if pct is None:
    pct = round(size[0] / s.resized[0], 3)
    notes.append(
      f"preprocessing: no crop_pct resizes images to {s.resized} px for a model"
      f" of {size} px; crop_pct={pct} is near"
    )
  is_square = s.resized[0] == s.resized[1]
  rounding = "down" if is_square and s.fit == "cover" else "nearest"
  if s.fit != "squash" and s.rounding != rounding:
    notes.append(
      "preprocessing: the longer side of a resized image is rounded otherwise"
      " in timm, by up to one pixel"
    )
  crops = s.resized != size or s.fit != "squash"
  if crops and crop and crop.rounding != "nearest":
    notes.append(
      "preprocessing: timm's crop of a margin that is odd begins up to one"
      " pixel further down or right"
    )
  if s.fit == "inside" and crop and crop.fill != _border(s.mean):
    notes.append(
      f"preprocessing: timm fills borders with {_border(s.mean)}, not"
      f" {crop.fill}"
    )
  modes = {fit: mode for mode, fit in _FITS.items()}
  entries = {
    "interpolation": s.method,
    "crop_pct": pct,
    "crop_mode": modes[s.fit],
    "mean": s.mean,
    "std": s.std,
  }
  return entries, notes


def _steps(
  size: Size, pct: float, mode: str, method: str, mean: Sequence[float]
) -> list[str]:
  """The resize and the crop of timm.data.create_transform."""
  h, w = size
  scaled = preprocessing.rectangle(h / pct, w / pct)
  how = f"{scaled}, method='{preprocessing.PILLOW}{method}'"
  crop = f"central_crop({op.Size(*size)}, rounding='nearest'"
  match mode:
    case "squash":
      resize = f"resize({how})"
      if scaled == op.Size(*size):
        return [resize]
    case "border":
      resize = f"resize_keep_ratio({how}, fit='inside', rounding='nearest')"
      crop += f", fill={_border(mean)}"
    case _:
      # torchvision resizes for a square, timm itself for any other shape.
      rounding = "down" if scaled.h == scaled.w else "nearest"
      resize = f"resize_keep_ratio({how}, rounding='{rounding}')"
  return [resize, f"{crop})"]


def _border(mean: Sequence[float]) -> tuple[int, ...]:
  """The pixel that timm fills a border with."""
  return tuple(round(255 * x) for x in mean)


def _crop_pct(size: Size, resized: Size) -> float | None:
  """The shortest number by which timm gets `resized` for `size`, if any."""
  # The largest such number is this one, or a little less by its rounding.
  quotient = min(size[0] / resized[0], size[1] / resized[1])
  for digits in range(1, 16):
    last = math.floor(quotient * 10**digits)
    for pct in (last / 10**digits, (last - 1) / 10**digits):
      if pct > 0 and all(
        math.floor(side / pct) == wanted
        for side, wanted in zip(size, resized, strict=True)
      ):
        return pct
  return None
