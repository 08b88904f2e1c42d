"""Axial-ViT: a ViT with attention along rows and columns.

Source: Appendix D.6 and Figure 13, arXiv:2010.11929.
"""

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import config as config_lib, errors
from vit_jax.models import vit
from vit_jax.nn import axial, checks, encoder, patch, pooling, posemb, stacking

# Parameters of the blocks are [L, ...]; regex of how their names begin.
STACKED = "blocks/"

# Those of Figure 13.
VARIANTS = {
  f"B/{side}": dict(**vit.VARIANTS["B"], patch_size=(side, side))
  for side in (32, 16)
}


@dataclasses.dataclass(frozen=True)
class Config:
  """An Axial-ViT; the defaults are Axial-ViT-B/16.

  The paper says no more than that each block becomes two, one of attention
  among the tokens of a row and one among those of a column, each with an MLP of
  its own. What it leaves open: there is no class token, which would be in no
  row, and the mean of all tokens represents the image; the position embeddings
  are the ViT's, one learned vector a token, added once.

  Attributes:
    num_classes: C; 0 is a model without a head.
    image_size: (h, w) in px.
    patch_size: (height, width) in px.
    width: D.
    depth: L, number of pairs of blocks.
    mlp_dim: M, of each block of a pair.
    num_heads: H.
    dropout: rate after the position embedding, after attention, after the
      MLP's GELU and after the MLP (Appendix B.1).
    head_bias_init: initial bias of the head.
    dtype: of the computation. Parameters, norms, softmax, the pooled vector
      and the head are float32.
  """

  num_classes: int = 1000
  image_size: tuple[int, int] = (224, 224)
  patch_size: tuple[int, int] = (16, 16)
  width: int = 768
  depth: int = 12
  mlp_dim: int = 3072
  num_heads: int = 12
  dropout: float = 0.0
  head_bias_init: float = 0.0
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    for name in ("width", "depth", "mlp_dim", "num_heads"):
      if getattr(self, name) < 1:
        raise errors.about(self, f"{{{name}}} must be at least 1")
    if self.num_classes < 0:
      raise errors.about(self, "{num_classes} must be at least 0 (0 is none)")
    for name in ("image_size", "patch_size"):
      if min(getattr(self, name)) < 1:
        raise errors.about(self, f"{{{name}}} must be at least 1 px each way")
    if not 0.0 <= self.dropout < 1.0:
      raise errors.about(self, "{dropout} must be at least 0 and less than 1")
    if self.width % self.num_heads:
      raise errors.about(
        self,
        "{width} must be a multiple of {num_heads}"
        f" {checks.division(self.width, self.num_heads)}",
      )
    for size, part in zip(self.image_size, self.patch_size, strict=True):
      if size % part:
        raise errors.about(
          self,
          "{image_size} must be a multiple of {patch_size}"
          f" {checks.division(size, part)}",
        )
    if self.head_bias_init and not self.num_classes:
      raise errors.about(
        self, "{head_bias_init} needs a head, but {num_classes}; use 0"
      )

  @property
  def grid(self) -> tuple[int, int]:
    """(gh, gw), the number of patches along each axis."""
    (h, w), (ph, pw) = self.image_size, self.patch_size
    return h // ph, w // pw


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "B/16", changed by overrides.

  Raises:
    ConfigError: no such variant, or overrides that do not fit.
  """
  name = name.removeprefix("Axial-ViT-")
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> list[tuple[str, PartitionSpec]]:
  """(regex of the parameter name, PartitionSpec); the first match wins.

  Heads and MLP features are split over "tensor", D over "fsdp"; what no rule
  matches is replicated. For `core.mesh.shardings`.
  """
  rules = [
    ("embedding/kernel", PartitionSpec(None, None, None, "fsdp")),
    *encoder.sharding_rules(STACKED + "(rows|columns)/", None),
  ]
  if config.num_classes:
    # C is often odd (21,843), so that only the input side can be split.
    rules.append(("head/kernel", PartitionSpec("fsdp", None)))
  return rules


class Model(nn.Module):
  """An Axial-ViT.

  Attributes:
    config: what it is.
    unroll: pairs of blocks per turn of the compiled loop over depth, 0 for
      all. Changes speed, compile time and memory only.
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
      train: dropout, from the rng stream "dropout".

    Returns:
      grid [B, gh, gw, D] after the final norm; tokens [B, gh * gw, D], the
      same; pre_logits [B, D], their mean; logits [B, C], if there is a head.

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
    table = posemb.PositionTable(
      "learned_1d", config.grid, config.width, False, False, name="posemb"
    )()
    x += table.astype(dtype).reshape(1, *x.shape[1:])
    x = nn.Dropout(config.dropout, deterministic=not train)(x)
    block = functools.partial(
      encoder.Block,
      num_heads=config.num_heads,
      mlp_dim=config.mlp_dim,
      dropout=config.dropout,
      deterministic=not train,
      dtype=dtype,
    )
    blocks = axial.stack(config.depth, unroll=self.unroll, remat=self.remat)
    x, _ = blocks(block, name="blocks")(x)
    grid = nn.LayerNorm(epsilon=1e-6, dtype=dtype, name="norm")(x)
    tokens = grid.reshape(grid.shape[0], -1, config.width)
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
