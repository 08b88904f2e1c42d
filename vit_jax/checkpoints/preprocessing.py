"""Pipelines of checkpoints, in our language and in the words of others."""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any, Literal

from vit_jax.preprocess import (
  decode,
  geometry,
  labels,
  lookup,
  op,
  pipeline,
  resample,
  values,
)

PILLOW = resample.PILLOW
# (mean, std) of pixels in [0, 1].
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = (
  (0.48145466, 0.4578275, 0.40821073),
  (0.26862954, 0.26130258, 0.27577711),
)
HALF = ((0.5,) * 3, (0.5,) * 3)
UNIT = ((0.0,) * 3, (1.0,) * 3)
# Kernels of Pillow by the names that timm has for them.
KERNELS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

_RESIZES = (geometry.Resize, geometry.ResizeSmall)
# Ops that other programs have words for, or that leave the pixels alone.
_KNOWN = (
  *_RESIZES,
  decode.Decode,
  geometry.CentralCrop,
  values.ValueRange,
  values.Normalise,
  *(labels.Keep, labels.Copy, labels.Onehot, labels.PadLabels),
)
_MAX_SIDE_PX = 1 << 14
# Our kernels that are not Pillow's, and what comes nearest there.
_NEAREST = {"area": "box"}


def default(size: tuple[int, int], channels: int = 3) -> str:
  """How google-research's code evaluates at (h, w) px."""
  return described([f"resize({op.Size(*size)})"], *HALF, channels)


def described(
  steps: Sequence[str],
  mean: Sequence[float],
  std: Sequence[float],
  channels: int,
) -> str:
  """The pipeline with these resizes and crops, which are texts of ops.

  Mean and standard deviation are of each channel, for pixels in [0, 1].
  """
  colours = f"normalise({tuple(mean)}, {tuple(std)})"
  for low, unit in ((-1, HALF), (0, UNIT)):
    if {*zip(mean, std, strict=True)} == {(unit[0][0], unit[1][0])}:
      colours = f"value_range({low}, 1)"
  first = "decode(1)" if channels == 1 else "decode"
  return "|".join((first, *steps, colours))


def fitted(
  mean: Sequence[float], std: Sequence[float], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...], list[str]]:
  """Mean and deviation with one number a channel, and what was assumed."""
  if len(mean) == len(std) == channels:
    return tuple(mean), tuple(std), []
  mean_level, std_level = (
    v[0] if len(set(v)) == 1 else sum(v) / len(v) for v in (mean, std)
  )
  assumptions = []
  if len(set(mean)) > 1 or len(set(std)) > 1:
    assumptions.append(
      f"preprocessing: mean={list(mean)} and std={list(std)} are averaged, as"
      f" the weights are for channels={channels}"
    )
  return (mean_level,) * channels, (std_level,) * channels, assumptions


def rectangle(h: float, w: float) -> op.Size:
  """A size rounded down to whole pixels; a ValueError if it cannot be meant."""
  if not (1 <= h <= _MAX_SIDE_PX and 1 <= w <= _MAX_SIDE_PX):
    raise ValueError(
      f"preprocessing resizes images to {h:g} x {w:g} px, not to sides in"
      f" [1, {_MAX_SIDE_PX}]"
    )
  return op.Size(math.floor(h), math.floor(w))


def checked(text: str) -> str:
  """The text of a pipeline in its canonical form.

  Raises:
    ConfigError: it cannot be read, or has an op from outside the package that
      `parts.only` does not allow.
  """
  return str(pipeline.Pipeline.parse(text))


@dataclasses.dataclass(frozen=True)
class Settings:
  """The settings of a pipeline that other formats have words for.

  Attributes:
    method: one of `KERNELS`, the nearest to the pipeline's own.
    resized: (h, w) in px that the image is resized to.
    fit: "squash" for exactly that size; "cover" and "inside" keep the ratio,
      see `geometry.ResizeKeepRatio`.
    crop: the central crop after it, or None.
    rounding: how the longer side is rounded with "cover": "down" or "nearest".
    mean: mean of each channel, for pixels in [0, 1].
    std: standard deviation of each channel, likewise.
    differences: sentences about what a program that resizes with Pillow does
      otherwise, whatever its settings.
  """

  method: str
  resized: tuple[int, int]
  fit: Literal["squash", "cover", "inside"]
  crop: geometry.CentralCrop | None
  rounding: geometry.Rounding
  mean: list[float]
  std: list[float]
  differences: list[str]


def settings(text: str, size: tuple[int, int], channels: int) -> Settings:
  """The settings of a pipeline for a model's images of (h, w) px."""
  ops = pipeline.Pipeline.parse(text).ops
  resize: Any = next((o for o in ops if isinstance(o, _RESIZES)), None)
  crop = next((o for o in ops if isinstance(o, geometry.CentralCrop)), None)
  differences = [
    f"preprocessing: {lookup.name_of(type(o))} has no word there and is left"
    " out"
    for o in ops
    if not isinstance(o, _KNOWN)
  ]
  if resize and crop and ops.index(crop) < ops.index(resize):
    differences.append("preprocessing: there the crop is after the resize")
  if resize:
    differences += _other_kernel(resize)
  else:
    h, w = size
    differences.append(
      f"preprocessing: no resize here, there images are resized to {h} x {w} px"
    )
  resized, fit, rounding = _resized(resize, size)
  mean, std = _colours(ops, channels)
  method = resize.method.removeprefix(resample.PILLOW) if resize else "bicubic"
  return Settings(
    method=_NEAREST.get(method, method),
    resized=resized,
    fit=fit,
    crop=crop,
    rounding=rounding,
    mean=mean,
    std=std,
    differences=differences,
  )


def _resized(resize: Any, size: tuple[int, int]) -> tuple[Any, Any, Any]:
  """`resized`, `fit` and `rounding` of Settings for a resize or None."""
  match resize:
    case geometry.ResizeSmall():
      return (resize.smaller_size,) * 2, "cover", "nearest"
    case geometry.ResizeKeepRatio():
      sides = (resize.size.h, resize.size.w)
      return sides, resize.fit, resize.rounding
    case geometry.Resize():
      return (resize.size.h, resize.size.w), "squash", "down"
  return size, "squash", "down"


def _other_kernel(resize: Any) -> list[str]:
  """What Pillow does otherwise than this resize."""
  if resize.method.startswith(resample.PILLOW):
    return []
  if resize.antialias:
    return [
      f"preprocessing: {resize.method} with antialiasing is rounded there and"
      " cut off here: pixels differ by up to one level of 255"
    ]
  return [
    f"preprocessing: {resize.method} without antialiasing here,"
    f" {_NEAREST.get(resize.method, resize.method)} of Pillow there, which"
    " smooths images that shrink: other pixels"
  ]


def _colours(
  ops: Sequence[Any], channels: int
) -> tuple[list[float], list[float]]:
  """Mean and deviation of each channel."""
  for o in ops:
    if isinstance(o, values.Normalise):
      return list(o.mean), list(o.std)
    if isinstance(o, values.ValueRange):
      span = o.vmax - o.vmin
      return [0.0 - o.vmin / span] * channels, [1 / span] * channels
  # Pixels as they are.
  return [0.0] * channels, [1 / 255] * channels
