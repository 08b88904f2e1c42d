"""Pipelines of checkpoints, in our language and in the words of others."""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from vit_jax.preprocess import geometry, op, pipeline, values

# (mean, std) of pixels in [0, 1].
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.5,) * 3)
UNIT = ((0.0,) * 3, (1.0,) * 3)


def default(size: tuple[int, int]) -> str:
  """How google-research's code evaluates at (h, w) px."""
  return f"decode|resize({op.Size(*size)})|value_range(-1, 1)"


def described(
  size: tuple[int, int],
  crop: float | None,
  method: str,
  mean: Sequence[float],
  std: Sequence[float],
) -> str:
  """The pipeline for settings as timm and transformers write them.

  Args:
    size: (h, w) in px of the image.
    crop: the part of the shorter side that a central crop takes; None resizes
      the whole image to `size`, whatever its shape.
    method: method of resizing.
    mean: of each channel, for pixels in [0, 1].
    std: likewise.
  """
  how = f'method="{method}", antialias=True'
  resize = f"resize({op.Size(*size)}, {how})"
  if crop is not None:
    small = math.floor(min(size) / crop)
    resize = f"resize_small({small}, {how})|central_crop({op.Size(*size)})"
  colours = f"normalise({tuple(mean)}, {tuple(std)})"
  if len(set(mean)) == len(set(std)) == 1:
    low, high = -mean[0] / std[0], (1 - mean[0]) / std[0]
    colours = f"value_range({low:g}, {high:g})"
  return f"decode|{resize}|{colours}"


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
    method: method of resizing, one of the two that all programs have.
    smaller_size: smaller side of the image in px before a central crop, or 0 if
      it is not cropped.
    mean: of each channel, for pixels in [0, 1].
    std: likewise.
  """

  method: str
  smaller_size: int
  mean: list[float]
  std: list[float]


def settings(text: str) -> Settings:
  """The settings of a pipeline."""
  ops: dict[type, Any] = {type(o): o for o in pipeline.Pipeline.parse(text).ops}
  crop = ops.get(geometry.ResizeSmall)
  resize = crop or ops.get(geometry.Resize)
  colours = ops.get(values.Normalise)
  if colours:
    mean, std = list(colours.mean), list(colours.std)
  else:
    o = ops.get(values.ValueRange, values.ValueRange(-1, 1))
    mean = [-o.vmin / (o.vmax - o.vmin)] * 3
    std = [1 / (o.vmax - o.vmin)] * 3
  return Settings(
    "bicubic" if resize and resize.method == "bicubic" else "bilinear",
    crop.smaller_size if crop else 0,
    mean,
    std,
  )
