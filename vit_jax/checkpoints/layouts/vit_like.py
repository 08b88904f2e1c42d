"""What is common to the layouts of Vision Transformers and hybrids."""

from collections.abc import Mapping, Sequence
import dataclasses
import math
import re
from typing import Any, ClassVar

from vit_jax.checkpoints.base import Inferred, Layout, Size, Source
from vit_jax.core import errors
from vit_jax.models import hybrid, vit


class VitLike(Layout):
  """A ViT; the number of position embeddings determines its image size.

  Attributes:
    positions: the name of the position embeddings, [1, N, D].
    token: the name of the class token.
    pools: the kinds of pooling that the format can hold.
    required: values that fields of the model must have.
  """

  model = "vit"
  positions: ClassVar[str]
  token: ClassVar[str]
  pools: ClassVar[tuple[str, ...]]
  required: ClassVar[Mapping[str, Any]] = {}

  def written_size(self, source: Source) -> Any:
    """The size of the images in config.json, a side or (h, w), or None."""

  def num_positions(self, source: Source) -> int:
    return source.size(re.escape(self.positions), -2, 0)

  def sizes(self, source: Source, given: vit.Config | None) -> list[Size]:
    """Image sizes (h, w) in px by the caller, the given model, config.json."""
    sizes = [source.image_size, given.image_size if given else None]
    if written := self.written_size(source):
      h, w = (written, written) if isinstance(written, int) else written
      sizes.append((h, w))
    return [size for size in sizes if size]

  def infer(self, source: Source, given: vit.Config | None) -> Inferred:
    if given:
      self._check_token(source, given)
    inferred = super().infer(source, given)
    sizes, count = self.sizes(source, given), self.num_positions(source)
    size = _image_size(inferred.config, count, sizes, inferred.assumptions)
    inferred.config = dataclasses.replace(inferred.config, image_size=size)
    return inferred

  def _check_token(self, source: Source, given: vit.Config) -> None:
    """Refuses a model if either it or the file has no class token."""
    has = source.has(re.escape(self.token))
    if has != given.class_token:
      pools = ("token", "patches") if has else ("gap", "map")
      raise errors.CheckpointError(
        f"{source.path} has {'a' if has else 'no'} class token ({self.token}),"
        f" but the model's pool={given.pool} has {'none' if has else 'one'};"
        f" set its pool to {' or '.join(pools)}"
      )

  def has_own_position(self, source: Source, config: vit.Config) -> bool:
    """Whether one of the position embeddings is the class token's."""
    count = self.num_positions(source)
    for size in self.sizes(source, None):
      for own in (0, 1):
        if math.prod(_grid(config, size)) + own == count:
          return bool(own)
    return math.isqrt(count) ** 2 != count

  def objections(self, config: vit.Config) -> list[str]:
    objections = []
    if (config.posemb, config.posemb_at) != ("learned_1d", "stem"):
      objections.append(f"posemb={config.posemb} at {config.posemb_at}")
    if config.pool not in self.pools:
      objections.append(f"pool={config.pool}")
    return objections + [
      f"{name}={getattr(config, name)}"
      for name, value in self.required.items()
      if getattr(config, name) != value
    ]


def _image_size(
  config: vit.Config, count: int, sizes: Sequence[Size], assumptions: list[str]
) -> Size:
  """The image size (h, w) in px that fits `count` position embeddings.

  The config's own does not matter, `sizes` are tried first, and `assumptions`
  are added to. The count is 0 if the embeddings are not learned.
  """
  stride = config.stride if isinstance(config, hybrid.Config) else 1
  h, w = (n * stride for n in config.patch_size)
  if not count:
    if sizes:
      return sizes[0]
    size = (math.ceil(224 / h) * h, math.ceil(224 / w) * w)
    assumptions.append(
      f"images of {size} px: nothing in the file tells their size"
    )
    return size
  count -= config.class_token and config.class_token_position
  for size in sizes:
    if math.prod(_grid(config, size)) == count:
      return size
  side = math.isqrt(count)
  if side * side != count:
    raise errors.CheckpointError(_no_grid(count, sizes))
  return side * h, side * w


def _no_grid(count: int, sizes: Sequence[Size]) -> str:
  """The words for positions of patches that do not form a square grid."""
  text = f"its {count} position embeddings do not form a square grid"
  if sizes:
    text += f", nor the grid of images of {' or '.join(map(str, sizes))} px"
  for more in (1, 2, 4, 5):
    side = math.isqrt(max(count - more, 0))
    if side > 1 and side**2 + more == count:
      return (
        f"{text}; they are one of {side} x {side} and {more} more, of tokens"
        " that no model here has (distillation, registers or the like)"
      )
  return (
    f"{text}; give the size of its images with resolution=(height, width) in px"
  )


def _grid(config: vit.Config, size: Size) -> Size:
  """The grid of images of this size; (0, 0) if the model cannot have it."""
  try:
    return dataclasses.replace(config, image_size=size).grid
  except errors.ConfigError:
    return 0, 0


def smallest(fields: Mapping[str, Any]) -> vit.Config:
  """The config with these fields and an image of a single patch."""
  return vit.Config(**fields, image_size=fields["patch_size"])


def smallest_hybrid(fields: Mapping[str, Any]) -> hybrid.Config:
  """The same for a hybrid."""
  stride = hybrid.Config(resnet_depths=fields["resnet_depths"]).stride
  h, w = fields["patch_size"]
  return hybrid.Config(**fields, image_size=(h * stride, w * stride))
