"""What is common to the layouts of Vision Transformers and hybrids."""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.layout import Inferred
from vit_jax.core import errors
from vit_jax.models import hybrid, vit


def sized(
  config: vit.Config,
  count: int,
  said: Sequence[tuple[int, int] | None],
  assumptions: list[str],
) -> Inferred:
  """The config with the image size that the position embeddings tell.

  Args:
    config: what is known of the model; its own image size is of no account.
    count: position embeddings; 0 if they are none or not learned.
    said: sizes (h, w) in px that they may be for, or None.
    assumptions: is added to.

  Raises:
    CheckpointError: nothing says which of several grids it is.
  """
  sizes = [size for size in said if size]
  if not count:
    if not sizes:
      h, w = _unit(config)
      sizes.append((math.ceil(224 / h) * h, math.ceil(224 / w) * w))
      assumptions.append(
        f"images of {sizes[0]} px: nothing in the file tells their size"
      )
    config = dataclasses.replace(config, image_size=sizes[0])
    return Inferred(config, assumptions)
  count -= config.class_token and config.class_token_position
  for size in sizes:
    if math.prod(_grid(config, size)) == count:
      config = dataclasses.replace(config, image_size=size)
      return Inferred(config, assumptions)
  side = math.isqrt(count)
  if side * side != count:
    raise errors.CheckpointError(
      f"its {count} position embeddings are no square grid; say which it is"
      " with resolution=(height, width) in px"
    )
  h, w = _unit(config)
  config = dataclasses.replace(config, image_size=(side * h, side * w))
  return Inferred(config, assumptions)


def own_position(
  config: vit.Config, count: int, said: Sequence[tuple[int, int] | None]
) -> bool:
  """Whether one of so many position embeddings is the class token's."""
  for size in filter(None, said):
    for own in (0, 1):
      if math.prod(_grid(config, size)) + own == count:
        return bool(own)
  return math.isqrt(count) ** 2 != count


def smallest(fields: Mapping[str, Any]) -> vit.Config:
  """The config with these fields and an image of a single patch."""
  patch = fields["patch_size"]
  return vit.Config(**fields, image_size=patch)


def smallest_hybrid(fields: Mapping[str, Any]) -> hybrid.Config:
  """The same for a hybrid."""
  base = hybrid.Config(resnet_depths=fields["resnet_depths"])
  size = tuple(n * base.stride for n in fields["patch_size"])
  return hybrid.Config(**fields, image_size=size)


def _grid(config: vit.Config, size: tuple[int, int]) -> tuple[int, int]:
  try:
    return dataclasses.replace(config, image_size=size).grid
  except errors.ConfigError:
    return 0, 0


def _unit(config: vit.Config) -> tuple[int, int]:
  """(h, w) in px of the image of what becomes a token."""
  stride = config.stride if isinstance(config, hybrid.Config) else 1
  h, w = config.patch_size
  return h * stride, w * stride


def objections(config: vit.Config, *pools: str, **fields: Any) -> list[str]:
  """What a layout with learned positions cannot hold.

  Args:
    config: the model.
    *pools: the kinds of pooling that it can hold.
    **fields: what other fields have to be.
  """
  found = []
  if (config.posemb, config.posemb_at) != ("learned_1d", "stem"):
    found.append(f"posemb={config.posemb} at {config.posemb_at}")
  if config.pool not in pools:
    found.append(f"pool={config.pool}")
  return found + [
    f"{name}={getattr(config, name)}"
    for name, value in fields.items()
    if getattr(config, name) != value
  ]


def usual_heads(width: int) -> int:
  """H of a known variant of this width, or of heads of 64 features."""
  known = {size["width"]: size["num_heads"] for size in vit.VARIANTS.values()}
  if width in known:
    return known[width]
  heads = max(width // 64, 1)
  while width % heads:
    heads -= 1
  return heads


def notes(config: vit.Config, where: str) -> list[str]:
  """What is otherwise in the JAX code bases, which have no settings for it."""
  return layout.differences(config, where, gelu="tanh", norm_epsilon=1e-6)
