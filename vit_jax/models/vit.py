"""The Vision Transformer (arXiv:2010.11929) and its variants."""

import dataclasses
import functools
import math
import re
from typing import Any, Literal, cast

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from vit_jax.core import config as config_lib, errors, mesh as mesh_lib
from vit_jax.models import base
from vit_jax.nn import (
  checks,
  encoder,
  mlp,
  patch,
  pooling,
  posemb as posemb_lib,
  posemb_resize,
  stacking,
)

STACKED = "blocks/"
STEM = "embedding/kernel"

# Ti: arXiv:2012.12877 and 2106.10270. S: 2106.10270. B, L, H: Table 1,
# 2010.11929. g, G: Table 2, 2106.04560.
VARIANTS = {
  "Ti": dict(width=192, depth=12, mlp_dim=768, num_heads=3),
  "S": dict(width=384, depth=12, mlp_dim=1536, num_heads=6),
  "B": dict(width=768, depth=12, mlp_dim=3072, num_heads=12),
  "L": dict(width=1024, depth=24, mlp_dim=4096, num_heads=16),
  "H": dict(width=1280, depth=32, mlp_dim=5120, num_heads=16),
  "g": dict(width=1408, depth=40, mlp_dim=6144, num_heads=16),
  "G": dict(width=1664, depth=48, mlp_dim=8192, num_heads=16),
}


@dataclasses.dataclass(frozen=True)
class Config(base.CommonConfig):
  """A Vision Transformer; the defaults are ViT-B/16.

  Attributes: those of `base.CommonConfig`, and

    patch_size: (height, width) in px.
    width: D.
    depth: L, number of blocks.
    mlp_dim: M.
    num_heads: H.
    pool: what represents the image: the class token, the mean of all tokens
      (without a class token), the mean of the patches (with one), or attention
      pooling (arXiv:2106.04560).
    norm_at: whether the final norm is of all tokens, or of the pooled vector
      as in timm's models with global_pool="avg".
    norm_epsilon: epsilon of all norms; 1e-12 in transformers.
    gelu: the tanh approximation of GELU, as in google-research's code, or the
      exact function, as in timm and transformers.
    posemb: kind of position embeddings (Table 8): one learned vector for each
      token; learned tables of rows and columns, concatenated; fixed sines and
      cosines (arXiv:2205.01580); or learned relative offsets, which enter the
      attention logits.
    posemb_at: where positions are added: once to the tokens (stem), at the
      input of every layer from a table of its own (every_layer), or at every
      layer from one shared table (shared). Relative offsets are always used by
      every layer, so they are every_layer or shared.
    class_token_position: whether the class token has a position too, as in
      google-research's vision_transformer, or only patches do, as in
      big_vision. Without a class token it makes no difference.
    pre_logits_dim: width of a tanh layer before the head; 0 is none.
    dropout: dropout rate after the position embedding, after attention, after
      the MLP's GELU and after the MLP (Appendix B.1).
    attention_dropout: dropout rate of the attention weights.
    stochastic_depth: rate of the last block; it grows linearly from 0 at the
      first (arXiv:2106.10270).
  """

  patch_size: tuple[int, int] = (16, 16)
  width: int = 768
  depth: int = 12
  mlp_dim: int = 3072
  num_heads: int = 12
  pool: pooling.Kind = "token"
  norm_at: Literal["tokens", "pooled"] = "tokens"
  norm_epsilon: float = 1e-6
  gelu: mlp.Gelu = "tanh"
  posemb: posemb_lib.Choice = "learned_1d"
  posemb_at: posemb_lib.At = "stem"
  class_token_position: bool = True
  pre_logits_dim: int = 0
  dropout: float = 0.0
  attention_dropout: float = 0.0
  stochastic_depth: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    base.check_at_least(self, 1, "width", "depth", "mlp_dim", "num_heads")
    base.check_at_least(self, 0, "pre_logits_dim")
    base.check_sizes(self, "patch_size")
    if not self.norm_epsilon > 0:
      raise errors.about(self, "{norm_epsilon} must be positive")
    base.check_rates(self, "dropout", "attention_dropout", "stochastic_depth")
    base.check_multiple(self, "width", "num_heads")
    self._check_grid()
    self._check_posemb()
    if self.stochastic_depth and self.depth == 1:
      raise errors.about(
        self,
        "{stochastic_depth} grows from 0 at the first block to this rate at"
        " the last, and {depth} is the first; use 0",
      )
    if self.norm_at == "pooled" and self.pool == "map":
      raise errors.about(self, "{pool} has its own norm; {norm_at} has no use")

  @property
  def class_token(self) -> bool:
    """Whether there is a class token."""
    return self.pool in ("token", "patches")

  @property
  def grid(self) -> tuple[int, int]:
    """(gh, gw), the number of patches along each axis."""
    (h, w), (ph, pw) = self.image_size, self.patch_size
    return h // ph, w // pw

  def _check_grid(self) -> None:
    base.check_multiple(self, "image_size", "patch_size")

  def _check_posemb(self) -> None:
    reason = posemb_lib.REFUSED.get((self.posemb, self.posemb_at))
    if reason:
      raise errors.about(self, f"{{posemb}} with {{posemb_at}}: {reason}")
    parts = posemb_lib.PARTS.get(self.posemb, 1)
    if self.width % parts:
      raise errors.about(
        self,
        f"{{width}} must be a multiple of {parts} for {{posemb}}"
        f" {errors.division(self.width, parts)}",
      )
    if self.posemb == "sincos_2d":
      if self.width < 8:
        raise errors.about(self, "{width} must be at least 8 for {posemb}")
      if self.class_token and self.class_token_position:
        raise errors.about(
          self,
          "{posemb} has no position for the class token of {pool}; set"
          " {class_token_position} to False",
        )


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "B/16", changed by overrides.

  "L/32" is the paper's ViT-L/32: size L, patches of 32 x 32 px; "Ti/16x8" has
  patches 16 px high and 8 px wide.
  """
  size, _, patches = name.removeprefix("ViT-").partition("/")
  if size not in VARIANTS:
    raise errors.ConfigError(
      f"unknown variant {name}{errors.did_you_mean(size, VARIANTS)} (there are:"
      f" {', '.join(VARIANTS)}, each with a patch size, such as B/16)"
    )
  match = re.fullmatch(r"(\d+)(?:x(\d+))?", patches)
  if not match:
    raise errors.ConfigError(
      f"variant {name} has no patch size; write {size}/16, or {size}/16x8 for"
      " height x width"
    )
  patch_size = (int(match[1]), int(match[2] or match[1]))
  fields = {**VARIANTS[size], "patch_size": patch_size}
  return config_lib.variant(Config, {name: fields}, name, overrides)


def sharding_rules(config: Config) -> base.Rules:
  """Heads and MLP features are split over "tensor", D over "fsdp"."""
  p, blocks = PartitionSpec, encoder.sharding_rules(STACKED, None)
  rules = [("embedding/kernel", p(None, None, None, "fsdp")), *blocks]
  if config.pool == "map":
    rules += encoder.sharding_rules("pool/")
  if config.pre_logits_dim:
    rules.append(("pre_logits/kernel", p("fsdp", None)))
  return rules + base.head_rules(config)


class Model(nn.Module):
  """A Vision Transformer, whole or in parts.

  Calling it composes its other methods. Training objectives call these by name,
  as in `model.apply(variables, images, method="embed")`, and compose them in
  their own way:

      images -- embed --> patches -- add_positions --> patches
             -- encode --> tokens -- pool --> pre_logits -- classify --> logits

  Patches may be replaced before positions are added, and left out afterwards.

  Attributes:
    config: what it computes.
    unroll, remat, split_tokens: speed knobs, see `base.ModelModule`. Of the
      blocks, remat="dots" keeps all matmuls except the attention's, which have
      no parameters.
  """

  config: Config
  unroll: int = 1
  remat: stacking.Remat = "none"
  split_tokens: bool = False

  def setup(self):
    """Makes the submodules; their names are those of the parameters."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    own = config.posemb_at == "every_layer"
    self.embedding = patch.PatchEmbedding(
      config.width, config.patch_size, dtype
    )
    if config.class_token:
      self.class_token = self.param(
        "class_token", nn.initializers.zeros, (1, 1, config.width)
      )
    if config.posemb != "none" and not own:
      self.posemb = _positions(config)
    # The random masks depend on this name, which Flax gave it earlier.
    self.dropout = nn.Dropout(config.dropout, name="Dropout_0")
    block = encoder.BlockConfig(
      num_heads=config.num_heads,
      mlp_dim=config.mlp_dim,
      dropout=config.dropout,
      attention_dropout=config.attention_dropout,
      gelu=config.gelu,
      norm_epsilon=config.norm_epsilon,
      relative=config.posemb == "relative",
      own_positions=functools.partial(_positions, config) if own else None,
      dtype=dtype,
    )
    stack = encoder.stack(config.depth, unroll=self.unroll, remat=self.remat)
    self.blocks = stack(block, self.split_tokens)
    self.norm = nn.LayerNorm(
      epsilon=config.norm_epsilon,
      dtype=dtype if config.norm_at == "tokens" else jnp.float32,
    )
    if config.pool == "map":
      self.attention_pooling = pooling.AttentionPooling(block, name="pool")
    if config.pre_logits_dim:
      self.pre_logits = nn.Dense(config.pre_logits_dim)
    if config.num_classes:
      self.head = base.head(config)

  def __call__(
    self,
    images: checks.Images,
    *,
    train: bool = False,
    attention_weights: bool = False,
  ) -> base.Outputs:
    """Represents and classifies images of the config's size.

    Returns:
      The outputs that `models.base` lists. With `attention_weights` also
      attention [L, B, H, N, N] and, with MAP, pool_attention [B, H, N] of its
      probe.
    """
    config = self.config
    images = checks.check_images(images, config.image_size)
    tokens, attention = self.encode(
      self.add_positions(self.embed(images)),
      train=train,
      attention_weights=attention_weights,
    )
    pre_logits, pool_attention = self.pool(tokens)
    size = (len(tokens), *config.grid, config.width)
    grid = tokens[:, -math.prod(config.grid) :].reshape(size)
    out = {"tokens": tokens, "grid": grid, "pre_logits": pre_logits}
    if config.num_classes:
      out["logits"] = self.classify(pre_logits)
    if attention is not None:
      out["attention"] = attention
      if pool_attention is not None:
        out["pool_attention"] = pool_attention
    return out

  def embed(self, images: checks.Images) -> Float[Array, "B N D"]:
    """Embeds the patches of images, in raster order and without positions.

    The images [B, h, w, c] may be of any size that patches divide. Their grid
    is that of the config with their `image_size`.
    """
    images = checks.check_images(images)
    dataclasses.replace(self.config, image_size=images.shape[1:3])
    x = self._patches(images)
    return x.reshape(x.shape[0], -1, x.shape[-1])

  def _patches(self, x: Float[Array, "B h w c"]) -> Float[Array, "B gh gw D"]:
    return self.embedding(x)

  def add_positions(
    self, patches: Float[Array, "B N D"], grid: posemb_lib.Grid | None = None
  ) -> Float[Array, "B N D"]:
    """Adds position embeddings to all patches of an image.

    It adds nothing if positions are not added at the stem.

    Args:
      patches: one token for each patch in raster order.
      grid: (gh, gw) of images of another size, for which positions are resized
        by `posemb_resize.resize`, bicubic; None is the config's grid.
    """
    config = self.config
    if config.posemb == "none" or config.posemb_at != "stem":
      return patches
    table = self.posemb()[config.class_token :]
    if grid not in (None, config.grid):
      table = posemb_resize.resize(table, config.grid, grid, "bicubic")
    return patches + table.astype(patches.dtype)[None]

  def encode(
    self,
    patches: Float[Array, "B N D"],
    *,
    train: bool = False,
    attention_weights: bool = False,
  ) -> tuple[Float[Array, "B M D"], Float[Array, "L B H M M"] | None]:
    """Runs the Transformer on a class token, if there is one, and patches.

    Args:
      patches: any number of patches, with positions.
      train: switches dropout and stochastic depth on.
      attention_weights: whether to return the attention weights.

    Returns:
      The tokens after the final norm (if it is of the tokens), the class token
      first (M is N + 1 with it), and the attention weights or None.

    Raises:
      ConfigError: positions are added at every layer, and these are not all
        patches of the config's grid.
    """
    config, x, count = self.config, patches, patches.shape[1]
    if config.posemb_at != "stem" and count != math.prod(config.grid):
      raise errors.about(
        config,
        "{posemb_at} has positions at every layer for a grid of"
        f" {config.grid}, not for {count} patches; use stem",
      )
    if config.class_token:
      token = self.class_token.astype(x.dtype)
      if config.posemb != "none" and config.posemb_at == "stem":
        token += self.posemb()[None, :1].astype(x.dtype)
      token = jnp.broadcast_to(token, (x.shape[0], 1, config.width))
      x = jnp.concatenate([token, x], axis=1)
    x = self.dropout(x, deterministic=not train)
    rates = encoder.drop_rates(config.stochastic_depth, config.depth)
    positions = self.posemb() if config.posemb_at == "shared" else None
    x, attention = self.blocks(x, rates, positions, train, attention_weights)
    return self.norm(x) if config.norm_at == "tokens" else x, attention

  def pool(
    self, tokens: Float[Array, "B N D"]
  ) -> tuple[Float[Array, "B R"], Float[Array, "B H N"] | None]:
    """Pools encoded tokens to the vector that the head sees.

    Returns:
      The float32 vector, after the dense layer before the head if there is
      one, and the attention of MAP's probe or None.
    """
    config, attention = self.config, None
    if config.pool == "map":
      y, attention = self.attention_pooling(tokens)
    else:
      y = pooling.FIXED[config.pool](tokens)
    y = mesh_lib.split_batch(y.astype(jnp.float32))
    if config.norm_at == "pooled":
      y = self.norm(y)
    if config.pre_logits_dim:
      y = nn.tanh(self.pre_logits(y))
    return y, attention

  def classify(self, pre_logits: Float[Array, "B R"]) -> Float[Array, "B C"]:
    """The logits of a model with a head."""
    return self.head(pre_logits)


def _positions(config: Config, **kwargs: Any) -> Any:
  """The module of position embeddings, of the model or of one block."""
  class_token, own = config.class_token, config.class_token_position
  if config.posemb == "relative":
    return posemb_lib.RelativeOffsets(
      math.prod(config.grid) + (class_token and own),
      config.num_heads,
      config.width // config.num_heads,
      **kwargs,
    )
  kind = cast(posemb_lib.Kind, config.posemb)
  return posemb_lib.PositionTable(
    kind, config.grid, config.width, class_token, own, **kwargs
  )
