"""Axial-ViT: a ViT with attention along rows and columns.

Source: Appendix D.6 and Figure 13, arXiv:2010.11929.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import config as config_lib
from vit_jax.models import base, vit
from vit_jax.nn import axial, checks, encoder, patch, posemb, stacking

STACKED = "blocks/"
STEM = "embedding/kernel"

# Figure 13.
VARIANTS = {
  f"B/{side}": dict(**vit.VARIANTS["B"], patch_size=(side, side))
  for side in (32, 16)
}


@dataclasses.dataclass(frozen=True)
class Config(base.CommonConfig):
  """An Axial-ViT; the defaults are Axial-ViT-B/16.

  The paper only says that each block becomes two, one with attention among the
  tokens of a row and one among those of a column, each with an MLP of its own.
  Chosen here: there is no class token, which would be in no row, so the mean of
  all tokens represents the image; the position embeddings are the ViT's, one
  learned vector for each token, added once.

  Attributes: those of `base.CommonConfig`, and

    patch_size: (height, width) in px.
    width: D.
    depth: L, number of pairs of blocks.
    mlp_dim: M, of each block of a pair.
    num_heads: H.
    dropout: dropout rate after the position embedding, after attention, after
      the MLP's GELU and after the MLP (Appendix B.1).
  """

  patch_size: tuple[int, int] = (16, 16)
  width: int = 768
  depth: int = 12
  mlp_dim: int = 3072
  num_heads: int = 12
  dropout: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    base.check_at_least(self, 1, "width", "depth", "mlp_dim", "num_heads")
    base.check_sizes(self, "patch_size")
    base.check_rates(self, "dropout")
    base.check_multiple(self, "width", "num_heads")
    base.check_multiple(self, "image_size", "patch_size")

  @property
  def grid(self) -> tuple[int, int]:
    """(gh, gw), the number of patches along each axis."""
    (h, w), (ph, pw) = self.image_size, self.patch_size
    return h // ph, w // pw


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "B/16", changed by overrides."""
  name = name.removeprefix("Axial-ViT-")
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> base.Rules:
  """Heads and MLP features are split over "tensor", D over "fsdp"."""
  return [
    ("embedding/kernel", PartitionSpec(None, None, None, "fsdp")),
    *encoder.sharding_rules(STACKED + "(rows|columns)/", None),
    *base.head_rules(config),
  ]


class Model(nn.Module):
  """An Axial-ViT.

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
    table = posemb.PositionTable(
      "learned_1d", config.grid, config.width, False, False, name="posemb"
    )()
    x += table.astype(dtype).reshape(1, *x.shape[1:])
    x = nn.Dropout(config.dropout, deterministic=not train)(x)
    block = encoder.BlockConfig(
      num_heads=config.num_heads,
      mlp_dim=config.mlp_dim,
      dropout=config.dropout,
      dtype=dtype,
    )
    blocks = axial.stack(config.depth, unroll=self.unroll, remat=self.remat)
    make = functools.partial(encoder.Block, block)
    x, _ = blocks(make, name="blocks")(x, train)
    x = nn.LayerNorm(epsilon=1e-6, dtype=dtype, name="norm")(x)
    return base.outputs(config, x)
