"""The Swin Transformer (arXiv:2103.14030) and its variants."""

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np

from vit_jax.core import config as config_lib, errors
from vit_jax.nn import (
  checks,
  encoder,
  patch,
  pooling,
  stacking,
  swin_block,
  window as window_lib,
)

# Pairs of blocks are [L / 2, ...] in each stage; regex of how names begin.
STACKED = r"stage\d+/pairs/"

# Section 3.3, 2103.14030.
VARIANTS = {
  "T": dict(width=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
  "S": dict(width=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24)),
  "B": dict(width=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
  "L": dict(width=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48)),
}


@dataclasses.dataclass(frozen=True)
class Config:
  """A Swin Transformer; the defaults are Swin-T.

  Attributes:
    num_classes: C; 0 is a model without a head.
    image_size: (h, w) in px.
    patch_size: (height, width) in px.
    width: D of the first stage; each following one doubles it and halves the
      grid (rounded up).
    depths: number of blocks of each stage. Every second block is shifted.
    num_heads: H of each stage.
    mlp_ratio: M / D, of which the product with D is rounded down.
    window_size: (height, width) in cells of the grid; along an axis where a
      stage's grid is smaller, it is the grid.
    window_pad: whether a grid that is no multiple of the window is padded
      before it is shifted (transformers) or after (timm). Without padding
      they are the same.
    stochastic_depth: rate of the last block; it grows linearly from 0 at the
      first one of all stages (0.2, 0.3 and 0.5 for T, S and B on ImageNet-1k).
    head_bias_init: initial bias of the head.
    dtype: of the computation. Parameters, norms, softmax, the pooled vector
      and the head are float32.
  """

  num_classes: int = 1000
  image_size: tuple[int, int] = (224, 224)
  patch_size: tuple[int, int] = (4, 4)
  width: int = 96
  depths: tuple[int, ...] = (2, 2, 6, 2)
  num_heads: tuple[int, ...] = (3, 6, 12, 24)
  mlp_ratio: float = 4.0
  window_size: tuple[int, int] = (7, 7)
  window_pad: window_lib.Pad = "before_shift"
  stochastic_depth: float = 0.0
  head_bias_init: float = 0.0
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    self._check_ranges()
    if len(self.depths) != len(self.num_heads):
      raise errors.about(
        self,
        f"{{depths}} has {len(self.depths)} stages, {{num_heads}} has"
        f" {len(self.num_heads)}; give one number for each stage",
      )
    self._check_divisibility()
    if self.stochastic_depth and sum(self.depths) == 1:
      raise errors.about(
        self,
        "{stochastic_depth} grows from 0 at the first block to this rate at"
        " the last, and there is one of {depths}; use 0",
      )
    if self.head_bias_init and not self.num_classes:
      raise errors.about(
        self, "{head_bias_init} needs a head, but {num_classes}; use 0"
      )

  @property
  def stage_widths(self) -> tuple[int, ...]:
    """D of each stage."""
    return tuple(self.width * 2**i for i in range(len(self.depths)))

  def _check_ranges(self) -> None:
    if self.width < 1:
      raise errors.about(self, "{width} must be at least 1")
    for name in ("depths", "num_heads"):
      if min(getattr(self, name), default=0) < 1:
        raise errors.about(
          self, f"{{{name}}} must be at least 1 in every stage"
        )
    if self.num_classes < 0:
      raise errors.about(self, "{num_classes} must be at least 0 (0 is none)")
    for name in ("image_size", "patch_size"):
      if min(getattr(self, name)) < 1:
        raise errors.about(self, f"{{{name}}} must be at least 1 px each way")
    if min(self.window_size) < 1:
      raise errors.about(self, "{window_size} must be at least 1 cell each way")
    if not 1 <= self.mlp_ratio * self.width < float("inf"):
      raise errors.about(
        self, "{mlp_ratio} x {width} must be at least 1 and finite"
      )
    if not 0.0 <= self.stochastic_depth < 1.0:
      raise errors.about(
        self, "{stochastic_depth} must be at least 0, less than 1"
      )

  def _check_divisibility(self) -> None:
    for width, heads in zip(self.stage_widths, self.num_heads, strict=True):
      if width % heads:
        raise errors.about(
          self,
          f"{{width}} makes a stage of width {width}, which must be a multiple"
          f" of its heads in {{num_heads}} {checks.division(width, heads)}",
        )
    for size, part in zip(self.image_size, self.patch_size, strict=True):
      if size % part:
        raise errors.about(
          self,
          "{image_size} must be a multiple of {patch_size}"
          f" {checks.division(size, part)}",
        )


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "T", changed by overrides.

  The published models at 384 px are variant("B", image_size=(384, 384),
  window_size=(12, 12)), and "L" likewise.

  Raises:
    ConfigError: no such variant, or overrides that do not fit.
  """
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> list[tuple[str, PartitionSpec]]:
  """(regex of the parameter name, PartitionSpec); the first match wins.

  Heads and MLP features are split over "tensor", D over "fsdp"; what no rule
  matches is replicated. For `core.mesh.shardings`.
  """
  p = PartitionSpec

  def block(prefix: str, *stacked: None) -> list[tuple[str, PartitionSpec]]:
    bias = prefix + "attention/relative_bias"
    rules = encoder.sharding_rules(prefix, *stacked)
    return [*rules, (bias, p(*stacked, None, None, "tensor"))]

  rules = [("embedding/kernel", p(None, None, None, "fsdp"))]
  if max(config.depths) > 1:
    rules += block(STACKED + r"(regular|shifted)/", None)
  if any(depth % 2 for depth in config.depths):
    rules += block(r"stage\d+/last/")
  if len(config.depths) > 1:
    rules.append((r"stage\d+/merge/reduction/kernel", p("fsdp", None)))
  if config.num_classes:
    # C is often odd (21,841), so that only the input side can be split.
    rules.append(("head/kernel", p("fsdp", None)))
  return rules


class Stage(nn.Module):
  """Pairs of blocks with stacked parameters; an odd one is the last.

  Attributes:
    config: of the model.
    index: which stage of it.
    deterministic: no stochastic depth.
    unroll, remat: see `Model`.
    dtype: of the computation.
  """

  config: Config
  index: int
  deterministic: bool
  unroll: int
  remat: stacking.Remat
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: jax.Array, drop_rates: np.ndarray | None) -> jax.Array:
    """[B, gh, gw, D] to the same, or after merging to half a grid of 2 D.

    Args:
      x: the grid.
      drop_rates: [L of the stage], of stochastic depth.
    """
    config = self.config
    if self.index:
      x = swin_block.PatchMerging(self.dtype, name="merge")(x)
    _, gh, gw, width = x.shape
    depth = config.depths[self.index]
    window, shift = window_lib.fitted((gh, gw), config.window_size)
    block = functools.partial(
      swin_block.Block,
      num_heads=config.num_heads[self.index],
      mlp_dim=int(width * config.mlp_ratio),
      window=window,
      pad=config.window_pad,
      deterministic=self.deterministic,
      dtype=self.dtype,
    )
    if depth > 1:
      pairs = stacking.stack(
        swin_block.Pair, depth // 2, 0, unroll=self.unroll, remat=self.remat
      )
      rates = drop_rates
      if rates is not None:
        rates = rates[: depth // 2 * 2].reshape(-1, 2)
      x, _ = pairs(block, shift, name="pairs")(x, rates)
    if depth % 2:
      last = stacking.rematted(swin_block.Block, self.remat)
      rate = None if drop_rates is None else drop_rates[-1]
      x = last(**block.keywords, shift=(0, 0), name="last")(x, rate)
    return x


class Model(nn.Module):
  """A Swin Transformer.

  Attributes:
    config: what it is.
    unroll: pairs of blocks per turn of the compiled loop over each stage's
      depth, 0 for all. Changes speed, compile time and memory only.
    remat: what the backward pass computes again to save memory: "none" (no
      matmul), "dots" (the attention's matmuls without parameters) or "full"
      (all but the pairs' inputs). Changes speed and memory only.
  """

  config: Config
  unroll: int = 1
  remat: stacking.Remat = "none"

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool = False
  ) -> dict[str, jax.Array]:
    """Represents and classifies images.

    Args:
      images: [B, h, w, c], a floating type; any number of channels, which is
        fixed by the parameters.
      train: stochastic depth, from the rng stream "dropout".

    Returns:
      grid [B, gh, gw, D] of the last stage after the final norm; tokens
      [B, gh * gw, D], the same; pre_logits [B, D], their mean; logits [B, C],
      if there is a head.

    Raises:
      ConfigError: images of another size.
      TypeError: images that are not of a floating type.
    """
    config = self.config
    dtype = jnp.dtype(config.dtype)
    checks.check_images(images, config.image_size)
    x = patch.PatchEmbedding(
      config.width, config.patch_size, dtype, name="embedding"
    )(images)
    norm = functools.partial(nn.LayerNorm, epsilon=1e-5, dtype=dtype)
    x = norm(name="embedding_norm")(x)
    rates = drop_rates(config)
    for i in range(len(config.depths)):
      x = Stage(
        config, i, not train, self.unroll, self.remat, dtype, name=f"stage{i}"
      )(x, rates[i])
    grid = norm(name="norm")(x)
    tokens = grid.reshape(grid.shape[0], -1, grid.shape[-1])
    pre_logits = pooling.FIXED["gap"](tokens)
    out = {"tokens": tokens, "grid": grid, "pre_logits": pre_logits}
    if config.num_classes:
      out["logits"] = nn.Dense(
        config.num_classes,
        kernel_init=nn.initializers.zeros,
        bias_init=nn.initializers.constant(config.head_bias_init),
        name="head",
      )(pre_logits)
    return out


def drop_rates(config: Config) -> list[np.ndarray | None]:
  """Stochastic depth's rates of each stage's blocks, or None for each."""
  if not config.stochastic_depth:
    return [None] * len(config.depths)
  ends = np.cumsum(config.depths)
  rates = np.linspace(0, config.stochastic_depth, ends[-1], dtype=np.float32)
  return np.split(rates, ends[:-1])
