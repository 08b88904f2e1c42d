"""The Swin Transformer (arXiv:2103.14030) and its variants."""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float
import numpy as np

from vit_jax.core import config as config_lib, errors
from vit_jax.models import base
from vit_jax.nn import (
  checks,
  encoder,
  patch,
  stacking,
  swin_block,
  window as window_lib,
)

# Pairs of blocks are stacked, [L / 2, ...], in each stage.
STACKED = r"stage\d+/pairs/"
STEM = "embedding/kernel"

# Section 3.3, 2103.14030.
VARIANTS = {
  "T": dict(width=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
  "S": dict(width=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24)),
  "B": dict(width=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
  "L": dict(width=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48)),
}


@dataclasses.dataclass(frozen=True)
class Config(base.CommonConfig):
  """A Swin Transformer; the defaults are Swin-T.

  Attributes: those of `base.CommonConfig`, and

    patch_size: (height, width) in px.
    width: D of the first stage; each following one doubles it and halves the
      grid (rounded up).
    depths: number of blocks of each stage. Every second block is shifted.
    num_heads: H of each stage.
    mlp_ratio: M / D; M is rounded down.
    window_size: (height, width) in cells of the grid; along an axis where a
      stage's grid is smaller, it is the grid.
    window_pad: whether a grid that is not a multiple of the window is padded
      before it is shifted (transformers) or after (timm). Where no padding is
      needed, it makes no difference.
    stochastic_depth: rate of the last block; it grows linearly from 0 at the
      first one of all stages (0.2, 0.3 and 0.5 for T, S and B on ImageNet-1k).
  """

  patch_size: tuple[int, int] = (4, 4)
  width: int = 96
  depths: tuple[int, ...] = (2, 2, 6, 2)
  num_heads: tuple[int, ...] = (3, 6, 12, 24)
  mlp_ratio: float = 4.0
  window_size: tuple[int, int] = (7, 7)
  window_pad: window_lib.Pad = "before_shift"
  stochastic_depth: float = 0.0

  def __post_init__(self):
    super().__post_init__()
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

  @property
  def stage_widths(self) -> tuple[int, ...]:
    """D of each stage."""
    return tuple(self.width * 2**i for i in range(len(self.depths)))

  def _check_ranges(self) -> None:
    base.check_at_least(self, 1, "width")
    base.check_stages(self, "depths", "num_heads")
    base.check_sizes(self, "patch_size")
    base.check_rates(self, "stochastic_depth")
    if min(self.window_size) < 1:
      raise errors.about(self, "{window_size} must be at least 1 cell each way")
    if not 1 <= self.mlp_ratio * self.width < float("inf"):
      raise errors.about(
        self, "{mlp_ratio} x {width} must be at least 1 and finite"
      )

  def _check_divisibility(self) -> None:
    for width, heads in zip(self.stage_widths, self.num_heads, strict=True):
      if width % heads:
        raise errors.about(
          self,
          f"{{width}} makes a stage of width {width}, which must be a multiple"
          f" of its heads in {{num_heads}} {errors.division(width, heads)}",
        )
    base.check_multiple(self, "image_size", "patch_size")


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "T", changed by overrides.

  The published models at 384 px are variant("B", image_size=(384, 384),
  window_size=(12, 12)), and "L" likewise.
  """
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> base.Rules:
  """Heads and MLP features are split over "tensor", D over "fsdp"."""
  p = PartitionSpec

  def block(prefix: str, *stacked: None) -> base.Rules:
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
  return rules + base.head_rules(config)


class Stage(nn.Module):
  """Pairs of blocks with stacked parameters; an odd block is the last.

  Attributes:
    config: the model's.
    index: number of the stage.
    train: switches stochastic depth on.
    unroll, remat: see `Model`.
    dtype: type of the computation.
  """

  config: Config
  index: int
  train: bool
  unroll: int
  remat: stacking.Remat
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B gh gw D"],
    drop_rates: Float[np.ndarray, "L"] | None,
  ) -> Float[Array, "B _ _ _"]:
    """Merges patches, except in the first stage, and runs the L blocks.

    Each has its own rate of stochastic depth.
    """
    config = self.config
    if self.index:
      x = swin_block.PatchMerging(self.dtype, name="merge")(x)
    _, gh, gw, width = x.shape
    depth = config.depths[self.index]
    window, shift = window_lib.fitted((gh, gw), config.window_size)
    block = swin_block.BlockConfig(
      num_heads=config.num_heads[self.index],
      mlp_dim=int(width * config.mlp_ratio),
      window=window,
      pad=config.window_pad,
      dtype=self.dtype,
    )
    if depth > 1:
      pairs = stacking.stack(
        swin_block.Pair, depth // 2, 0, unroll=self.unroll, remat=self.remat
      )
      rates = drop_rates
      if rates is not None:
        rates = rates[: depth // 2 * 2].reshape(-1, 2)
      make = functools.partial(swin_block.Block, block, train=self.train)
      x, _ = pairs(make, shift, name="pairs")(x, rates)
    if depth % 2:
      last = stacking.rematted(swin_block.Block, self.remat)
      rate = None if drop_rates is None else jnp.asarray(drop_rates[-1])
      x = last(block, (0, 0), self.train, name="last")(x, rate)
    return x


class Model(nn.Module):
  """A Swin Transformer.

  Attributes:
    config: what it computes.
    unroll, remat: speed knobs, see `base.ModelModule`, of pairs of blocks.
  """

  config: Config
  unroll: int = 1
  remat: stacking.Remat = "none"

  @nn.compact
  def __call__(
    self, images: checks.Images, *, train: bool = False
  ) -> base.Outputs:
    """Represents and classifies images of the config's size."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    images = checks.check_images(images, config.image_size)
    x = patch.PatchEmbedding(
      config.width, config.patch_size, dtype, name="embedding"
    )(images)
    norm = functools.partial(nn.LayerNorm, epsilon=1e-5, dtype=dtype)
    x = norm(name="embedding_norm")(x)
    rates = drop_rates(config)
    for i in range(len(config.depths)):
      x = Stage(
        config, i, train, self.unroll, self.remat, dtype, name=f"stage{i}"
      )(x, rates[i])
    return base.outputs(config, norm(name="norm")(x))


def drop_rates(config: Config) -> Sequence[Float[np.ndarray, "L"] | None]:
  """Rates of stochastic depth of each stage's blocks, or None for each."""
  if not config.stochastic_depth:
    return [None] * len(config.depths)
  ends = np.cumsum(config.depths)
  rates = np.linspace(0, config.stochastic_depth, ends[-1], dtype=np.float32)
  return np.split(rates, ends[:-1])
