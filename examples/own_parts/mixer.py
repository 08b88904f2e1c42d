"""A model: the MLP-Mixer (arXiv:2105.01601)."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from vit_jax.core import config as config_lib
from vit_jax.models import base
from vit_jax.nn import checks

# Table 1, arXiv:2105.01601.
VARIANTS = {
  "S/16": dict(width=512, depth=8, token_mlp_dim=256, channel_mlp_dim=2048),
  "B/16": dict(width=768, depth=12, token_mlp_dim=384, channel_mlp_dim=3072),
}
# No parameters are stacked over blocks.
STACKED = ""
# The kernel that is applied to images.
STEM = "embedding/kernel"


@dataclasses.dataclass(frozen=True)
class Config(base.CommonConfig):
  """An MLP-Mixer; the defaults are those of S/16.

  Attributes: those of `base.CommonConfig`, and

    patch_size: (height, width) in px.
    width: D of the tokens.
    depth: number of blocks.
    token_mlp_dim: width of the MLP that mixes tokens.
    channel_mlp_dim: width of the MLP that mixes channels.
  """

  patch_size: tuple[int, int] = (16, 16)
  width: int = 512
  depth: int = 8
  token_mlp_dim: int = 256
  channel_mlp_dim: int = 2048

  def __post_init__(self):
    super().__post_init__()
    names = ("width", "depth", "token_mlp_dim", "channel_mlp_dim")
    base.check_at_least(self, 1, *names)
    base.check_multiple(self, "image_size", "patch_size")


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant; `overrides` replace some of its fields."""
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> base.Rules:
  """Every device has all parameters."""
  del config
  return []


class Block(nn.Module):
  """Mixes tokens, then channels."""

  config: Config

  @nn.compact
  def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
    tokens = nn.LayerNorm(name="token_norm")(x).swapaxes(1, 2)
    tokens = self._mlp("token", self.config.token_mlp_dim, tokens)
    x = x + tokens.swapaxes(1, 2)
    channels = nn.LayerNorm(name="channel_norm")(x)
    return x + self._mlp("channel", self.config.channel_mlp_dim, channels)

  def _mlp(self, name: str, hidden: int, x: Array) -> Array:
    dtype = self.config.dtype
    inner = nn.Dense(hidden, dtype=dtype, name=f"{name}_mlp_1")(x)
    outer = nn.Dense(x.shape[-1], dtype=dtype, name=f"{name}_mlp_2")
    return outer(nn.gelu(inner))


class Model(nn.Module):
  """The model; see `vit_jax.models.base` for its arguments and results."""

  config: Config

  @nn.compact
  def __call__(
    self, images: checks.Images, train: bool = False
  ) -> dict[str, jax.Array]:
    del train  # Nothing is random, and there are no statistics.
    config = self.config
    images = checks.check_images(images, config.image_size)
    patch = config.patch_size
    embed = nn.Conv(
      config.width, patch, patch, dtype=config.dtype, name="embedding"
    )
    grid = embed(images)
    x = grid.reshape(grid.shape[0], -1, config.width)
    for i in range(config.depth):
      x = Block(config, name=f"block_{i}")(x)
    x = nn.LayerNorm(name="norm")(x)
    return base.outputs(config, x.reshape(grid.shape))
