"""The Vision Transformer (arXiv:2010.11929) and its variants."""

from collections.abc import Callable
import dataclasses
import functools
import re
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import config as config_lib, errors, mesh as mesh_lib
from vit_jax.nn import checks, encoder, mlp, patch, pooling, posemb, stacking

# Parameters of the blocks are [L, ...]; regex of how their names begin.
STACKED = "blocks/"

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
class Config:
  """A Vision Transformer; the defaults are ViT-B/16.

  Attributes:
    num_classes: C; 0 is a model without a head.
    image_size: (h, w) in px.
    patch_size: (height, width) in px.
    width: D.
    depth: L, number of blocks.
    mlp_dim: M.
    num_heads: H.
    pool: what represents the image: the class token, the mean of all tokens
      (without a class token), the mean of the patches (with one), or attention
      pooling (arXiv:2106.04560).
    norm_at: the final norm is of all tokens, or of the pooled vector as in
      timm's models with global_pool="avg".
    norm_epsilon: of all norms; 1e-12 in transformers.
    gelu: its tanh approximation, as in google-research's code, or exact, as
      in timm and transformers.
    posemb: position embeddings (Table 8): one learned vector a token; learned
      tables of rows and columns, concatenated; fixed sines and cosines
      (arXiv:2205.01580); or learned relative offsets, which enter the
      attention logits.
    posemb_at: added to the tokens once (stem), at the input of every layer
      from a table of its own, or at every layer from one shared table.
      Relative offsets are used by every layer in any case: every_layer (each
      has its own) or shared.
    class_token_position: the class token has a position as well, as in
      google-research's vision_transformer; else only patches do, as in
      big_vision. Without a class token it makes no difference.
    pre_logits_dim: width of a dense layer with tanh before the head; 0 is
      none.
    dropout: rate after the position embedding, after attention, after the
      MLP's GELU and after the MLP (Appendix B.1).
    attention_dropout: rate of the attention weights.
    stochastic_depth: rate of the last block; it grows linearly from 0 at the
      first (arXiv:2106.10270).
    head_bias_init: initial bias of the head.
    dtype: of the computation. Parameters, norms, softmax, the pooled vector
      and what follows it are float32.
  """

  num_classes: int = 1000
  image_size: tuple[int, int] = (224, 224)
  patch_size: tuple[int, int] = (16, 16)
  width: int = 768
  depth: int = 12
  mlp_dim: int = 3072
  num_heads: int = 12
  pool: pooling.Kind = "token"
  norm_at: Literal["tokens", "pooled"] = "tokens"
  norm_epsilon: float = 1e-6
  gelu: mlp.Gelu = "tanh"
  posemb: Literal[
    "none", "learned_1d", "learned_2d", "sincos_2d", "relative"
  ] = "learned_1d"
  posemb_at: Literal["stem", "every_layer", "shared"] = "stem"
  class_token_position: bool = True
  pre_logits_dim: int = 0
  dropout: float = 0.0
  attention_dropout: float = 0.0
  stochastic_depth: float = 0.0
  head_bias_init: float = 0.0
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    self._check_ranges()
    self._check_heads()
    self._check_grid()
    self._check_posemb()
    if self.stochastic_depth and self.depth == 1:
      raise errors.about(
        self,
        "{stochastic_depth} grows from 0 at the first block to this rate at"
        " the last, and {depth} is the first; use 0",
      )
    if self.head_bias_init and not self.num_classes:
      raise errors.about(
        self, "{head_bias_init} needs a head, but {num_classes}; use 0"
      )
    if self.norm_at == "pooled" and self.pool == "map":
      raise errors.about(self, "{pool} has its own norm; {norm_at} is no use")

  @property
  def class_token(self) -> bool:
    """Whether there is a class token."""
    return self.pool in ("token", "patches")

  @property
  def grid(self) -> tuple[int, int]:
    """(gh, gw), the number of patches along each axis."""
    (h, w), (ph, pw) = self.image_size, self.patch_size
    return h // ph, w // pw

  def _check_ranges(self) -> None:
    for name in ("width", "depth", "mlp_dim", "num_heads"):
      if getattr(self, name) < 1:
        raise errors.about(self, f"{{{name}}} must be at least 1")
    for name in ("num_classes", "pre_logits_dim"):
      if getattr(self, name) < 0:
        raise errors.about(self, f"{{{name}}} must be at least 0 (0 is none)")
    for name in ("image_size", "patch_size"):
      if min(getattr(self, name)) < 1:
        raise errors.about(self, f"{{{name}}} must be at least 1 px each way")
    if not self.norm_epsilon > 0:
      raise errors.about(self, "{norm_epsilon} must be positive")
    for name in ("dropout", "attention_dropout", "stochastic_depth"):
      if not 0.0 <= getattr(self, name) < 1.0:
        raise errors.about(
          self, f"{{{name}}} must be at least 0 and less than 1"
        )

  def _check_heads(self) -> None:
    if self.width % self.num_heads:
      raise errors.about(
        self,
        "{width} must be a multiple of {num_heads}"
        f" {checks.division(self.width, self.num_heads)}",
      )

  def _check_grid(self) -> None:
    for size, part in zip(self.image_size, self.patch_size, strict=True):
      if size % part:
        raise errors.about(
          self,
          "{image_size} must be a multiple of {patch_size}"
          f" {checks.division(size, part)}",
        )

  def _check_posemb(self) -> None:
    refused = {
      ("none", "every_layer"): "none has nothing to add; use stem",
      ("none", "shared"): "none has nothing to add; use stem",
      ("sincos_2d", "every_layer"): (
        "sincos_2d is the same table for every layer; use shared"
      ),
      ("relative", "stem"): (
        "relative enters the attention logits of every layer; use every_layer"
        " (offsets of its own for each) or shared"
      ),
    }
    reason = refused.get((self.posemb, self.posemb_at))
    if reason:
      raise errors.about(self, f"{{posemb}} with {{posemb_at}}: {reason}")
    parts = {"learned_2d": 2, "sincos_2d": 4}.get(self.posemb, 1)
    if self.width % parts:
      raise errors.about(
        self,
        f"{{width}} must be a multiple of {parts} for {{posemb}}"
        f" {checks.division(self.width, parts)}",
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

  Raises:
    ConfigError: no such variant, or overrides that do not fit.
  """
  size, _, patches = name.removeprefix("ViT-").partition("/")
  if size not in VARIANTS:
    known = ", ".join(VARIANTS)
    raise errors.ConfigError(
      f"unknown variant {name}{errors.did_you_mean(size, VARIANTS)}"
      f" (there are: {known}, each with a patch size, such as B/16)"
    )
  match = re.fullmatch(r"(\d+)(?:x(\d+))?", patches)
  if not match:
    raise errors.ConfigError(
      f"variant {name} has no patch size; write {size}/16, or {size}/16x8 for"
      " height x width"
    )
  patch_size = (int(match[1]), int(match[2] or match[1]))
  base = {**VARIANTS[size], "patch_size": patch_size}
  fields = {**config_lib.to_config_dict(Config()), **base, **overrides}
  return config_lib.build(Config, fields)


def sharding_rules(config: Config) -> list[tuple[str, PartitionSpec]]:
  """(regex of the parameter name, PartitionSpec); the first match wins.

  Heads and MLP features are split over "tensor", D over "fsdp"; what no rule
  matches is replicated. For `core.mesh.shardings`.
  """
  p = PartitionSpec

  rules = [
    ("embedding/kernel", p(None, None, None, "fsdp")),
    *encoder.sharding_rules(STACKED, None),
  ]
  if config.pool == "map":
    rules += encoder.sharding_rules("pool/")
  if config.pre_logits_dim:
    rules.append(("pre_logits/kernel", p("fsdp", None)))
  if config.num_classes:
    # C is often odd (21,843), so that only the input side can be split.
    rules.append(("head/kernel", p("fsdp", None)))
  return rules


class Model(nn.Module):
  """A Vision Transformer.

  Attributes:
    config: what it is.
    unroll: blocks per turn of the compiled loop over depth, 0 for all. Changes
      speed, compile time and memory only.
    remat: what the backward pass computes again to save memory: "none" (no
      matmul), "dots" (the attention's matmuls without parameters) or "full"
      (all but the blocks' inputs). Changes speed and memory only.
    split_tokens: whether the mesh's "tensor" axis splits the tokens between
      attention and MLP. Changes speed and memory only.
  """

  config: Config
  unroll: int = 1
  remat: stacking.Remat = "none"
  split_tokens: bool = False

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    *,
    train: bool = False,
    attention_weights: bool = False,
    corrupt: Callable[[jax.Array], jax.Array] = lambda patches: patches,
  ) -> dict[str, jax.Array]:
    """Represents and classifies images.

    Args:
      images: [B, h, w, c], a floating type; any number of channels, which is
        fixed by the parameters.
      train: dropout and stochastic depth, from the rng stream "dropout".
      attention_weights: also return them.
      corrupt: is given the embeddings of the patches [B, gh * gw, D], and
        returns those that the rest is to see.

    Returns:
      tokens [B, N, D] after the final norm (if it is of the tokens), the class
      token first if there is one; grid [B, gh, gw, D], those of the patches;
      pre_logits [B, D], or [B, pre_logits_dim], what the head sees; logits
      [B, C], if there is a head; attention [L, B, H, N, N], if asked for, and
      then with MAP also pool_attention [B, H, N], that of its probe.

    Raises:
      ConfigError: images of another size.
      TypeError: images that are not of a floating type.
    """
    config = self.config
    checks.check_images(images, config.image_size)
    x = self._embed(images)
    b, gh, gw, width = x.shape
    x = corrupt(x.reshape(b, gh * gw, width))
    if config.class_token:
      token = self.param("class_token", nn.initializers.zeros, (1, 1, width))
      token = jnp.broadcast_to(token.astype(x.dtype), (b, 1, width))
      x = jnp.concatenate([token, x], axis=1)
    x, attention = self._encode(x, train, attention_weights)
    out = {"tokens": x, "grid": x[:, -gh * gw :].reshape(b, gh, gw, width)}
    y, pool_attention = self._pool(x)
    y = mesh_lib.split_batch(y.astype(jnp.float32))
    if config.norm_at == "pooled":
      y = nn.LayerNorm(epsilon=config.norm_epsilon, name="norm")(y)
    if config.pre_logits_dim:
      y = nn.tanh(nn.Dense(config.pre_logits_dim, name="pre_logits")(y))
    out["pre_logits"] = y
    if config.num_classes:
      out["logits"] = nn.Dense(
        config.num_classes,
        kernel_init=nn.initializers.zeros,
        bias_init=nn.initializers.constant(config.head_bias_init),
        name="head",
      )(y)
    if attention_weights:
      out["attention"] = attention
      if pool_attention is not None:
        out["pool_attention"] = pool_attention
    return out

  def _embed(self, images: jax.Array) -> jax.Array:
    """Images [B, h, w, c] to patches [B, gh, gw, D] of the config's dtype."""
    config = self.config
    return patch.PatchEmbedding(
      config.width, config.patch_size, jnp.dtype(config.dtype), name="embedding"
    )(images)

  def _encode(
    self, x: jax.Array, train: bool, attention_weights: bool
  ) -> tuple[jax.Array, jax.Array | None]:
    """Positions, blocks and the final norm."""
    config = self.config
    own = config.posemb_at == "every_layer"
    positions = None
    if config.posemb != "none" and not own:
      positions = _positions(config, name="posemb")()
    if positions is not None and config.posemb_at == "stem":
      x += positions.astype(x.dtype)[None]
      positions = None
    x = nn.Dropout(config.dropout, deterministic=not train)(x)
    blocks = encoder.stack(config.depth, unroll=self.unroll, remat=self.remat)
    x, attention = blocks(
      num_heads=config.num_heads,
      mlp_dim=config.mlp_dim,
      dropout=config.dropout,
      attention_dropout=config.attention_dropout,
      deterministic=not train,
      attention_weights=attention_weights,
      relative=config.posemb == "relative",
      own_positions=functools.partial(_positions, config) if own else None,
      dtype=x.dtype,
      gelu=config.gelu,
      norm_epsilon=config.norm_epsilon,
      split_tokens=self.split_tokens,
      name="blocks",
    )(x, encoder.drop_rates(config.stochastic_depth, config.depth), positions)
    if config.norm_at == "tokens":
      norm = dict(epsilon=config.norm_epsilon, dtype=x.dtype)
      x = nn.LayerNorm(**norm, name="norm")(x)
    return x, attention

  def _pool(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """Tokens [B, N, D] to [B, D], and the attention [B, H, N] of MAP."""
    config = self.config
    if config.pool == "map":
      return pooling.AttentionPooling(
        config.num_heads,
        config.mlp_dim,
        tokens.dtype,
        config.gelu,
        config.norm_epsilon,
        name="pool",
      )(tokens)
    return pooling.FIXED[config.pool](tokens), None


def _positions(config: Config, **kwargs: Any) -> nn.Module:
  """The module of position embeddings, of the model or of one block."""
  gh, gw = config.grid
  class_token = config.class_token
  if config.posemb == "relative":
    return posemb.RelativeOffsets(
      gh * gw + (class_token and config.class_token_position),
      config.num_heads,
      config.width // config.num_heads,
      **kwargs,
    )
  return posemb.PositionTable(
    config.posemb,
    config.grid,
    config.width,
    class_token,
    config.class_token_position,
    **kwargs,
  )
