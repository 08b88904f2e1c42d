"""The MobileViT block (arXiv:2110.02178): convolutions around a Transformer."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.nn import attention, feed_forward, inverted_residual

Size = tuple[int, int]


def unfold(
  x: Float[Array, "B h w D"], patch: Size
) -> Float[Array, "B*{patch[0]}*{patch[1]} N D"]:
  """A map as sequences, one for each place in a patch of P pixels.

  The p-th pixels of all N patches make one sequence, so that attention is
  between patches only.
  """
  b, h, w, width = x.shape
  ph, pw = patch
  x = x.reshape(b, h // ph, ph, w // pw, pw, width)
  return x.transpose(0, 2, 4, 1, 3, 5).reshape(b * ph * pw, -1, width)


def fold(
  x: Float[Array, "S N D"], size: Size, patch: Size
) -> Float[Array, "B {size[0]} {size[1]} D"]:
  """The inverse of `unfold`: a map of this size from its sequences."""
  (h, w), (ph, pw) = size, patch
  x = x.reshape(-1, ph, pw, h // ph, w // pw, x.shape[-1])
  return x.transpose(0, 3, 1, 4, 2, 5).reshape(-1, h, w, x.shape[-1])


@dataclasses.dataclass(frozen=True)
class BlockConfig:
  """What a MobileViT block computes.

  Attributes:
    width: D of the Transformer.
    depth: L of the Transformer.
    mlp_dim: M.
    num_heads: H.
    patch_size: (height, width) in pixels of the map.
    dropout: dropout rate after the attention and after the MLP.
    dtype: type of the computation.
  """

  width: int
  depth: int
  mlp_dim: int
  num_heads: int
  patch_size: Size
  dropout: float
  dtype: DTypeLike


class TransformerBlock(nn.Module):
  """x += attention(norm(x)); x += mlp(norm(x)), with SiLU in the MLP.

  Attributes:
    config: what it computes.
    train: switches dropout on.
  """

  config: BlockConfig
  train: bool

  @nn.compact
  def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
    """Runs the block."""
    config = self.config
    norm = functools.partial(nn.LayerNorm, epsilon=1e-5, dtype=config.dtype)
    y = norm(name="norm_attention")(x)
    y, _ = attention.MultiHeadAttention(
      config.num_heads, dtype=config.dtype, name="attention"
    )(y, y)
    x += nn.Dropout(config.dropout, deterministic=not self.train)(y)
    return x + feed_forward.FeedForward(
      config.mlp_dim,
      nn.silu,
      config.dropout,
      deterministic=not self.train,
      dtype=config.dtype,
      name="mlp",
    )(norm(name="norm_mlp")(x))


class MobileViTBlock(nn.Module):
  """Local features, a Transformer across patches, and both fused.

  A map that is not a multiple of the patch is enlarged to the next multiple
  for the Transformer and reduced again, as in the published code. Section 3.1.

  Attributes:
    config: what it computes.
    train: switches dropout on, and batch norm to statistics of the batch.
  """

  config: BlockConfig
  train: bool

  @nn.compact
  def __call__(self, x: Float[Array, "B h w c"]) -> Float[Array, "B h w c"]:
    """Runs the block."""
    width, dtype, channels = self.config.width, self.config.dtype, x.shape[-1]
    conv: Any = functools.partial(
      inverted_residual.ConvNorm, train=self.train, dtype=dtype
    )
    y = conv(channels, kernel=3, name="local")(x)
    y = nn.Dense(width, use_bias=False, dtype=dtype, name="embed")(y)
    y = conv(channels, name="project")(self._transform(y))
    return conv(channels, kernel=3, name="fuse")(jnp.concatenate([x, y], -1))

  def _transform(self, x: Float[Array, "B h w D"]) -> Float[Array, "B h w D"]:
    """Runs the Transformer on a map."""
    config = self.config
    _, h, w, _ = x.shape
    ph, pw = config.patch_size
    size = (-(-h // ph) * ph, -(-w // pw) * pw)
    y = unfold(_resized(x, size), config.patch_size)
    for i in range(config.depth):
      y = TransformerBlock(config, self.train, name=f"block{i}")(y)
    y = nn.LayerNorm(epsilon=1e-5, dtype=config.dtype, name="norm")(y)
    return _resized(fold(y, size, config.patch_size), (h, w))


def _resized(
  x: Float[Array, "B h w D"], size: Size
) -> Float[Array, "B {size[0]} {size[1]} D"]:
  """Bilinear resizing without antialiasing, as PyTorch does it."""
  if x.shape[1:3] == size:
    return x
  shape = (x.shape[0], *size, x.shape[-1])
  y = jax.image.resize(
    x.astype(jnp.float32), shape, "bilinear", antialias=False
  )
  return y.astype(x.dtype)
