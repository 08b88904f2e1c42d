"""The MobileViT block (arXiv:2110.02178): convolutions around a Transformer."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vit_jax.nn import attention, feed_forward, inverted_residual


def unfold(x: jax.Array, patch: tuple[int, int]) -> jax.Array:
  """A map [B, h, w, D] to [B * P, N, D]: a sequence for each place in a patch.

  The p-th pixels of all N patches make one sequence, so that attention is
  between patches only.
  """
  b, h, w, width = x.shape
  ph, pw = patch
  x = x.reshape(b, h // ph, ph, w // pw, pw, width)
  return x.transpose(0, 2, 4, 1, 3, 5).reshape(b * ph * pw, -1, width)


def fold(
  x: jax.Array, size: tuple[int, int], patch: tuple[int, int]
) -> jax.Array:
  """The inverse of `unfold`: sequences to a map [B, h, w, D]."""
  (h, w), (ph, pw) = size, patch
  x = x.reshape(-1, ph, pw, h // ph, w // pw, x.shape[-1])
  return x.transpose(0, 3, 1, 4, 2, 5).reshape(-1, h, w, x.shape[-1])


class TransformerBlock(nn.Module):
  """x += attention(norm(x)); x += mlp(norm(x)), with SiLU in the MLP.

  Attributes:
    num_heads: H.
    mlp_dim: M.
    dropout: rate after the attention and after the MLP.
    deterministic: no dropout.
    dtype: of the computation.
  """

  num_heads: int
  mlp_dim: int
  dropout: float
  deterministic: bool
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, N, D] to [B, N, D]."""
    norm = functools.partial(nn.LayerNorm, epsilon=1e-5, dtype=self.dtype)
    y = norm(name="norm_attention")(x)
    y, _ = attention.MultiHeadAttention(
      self.num_heads, dtype=self.dtype, name="attention"
    )(y, y)
    x += nn.Dropout(self.dropout, deterministic=self.deterministic)(y)
    return x + feed_forward.FeedForward(
      self.mlp_dim,
      nn.silu,
      self.dropout,
      self.deterministic,
      self.dtype,
      name="mlp",
    )(norm(name="norm_mlp")(x))


class MobileViTBlock(nn.Module):
  """Local features, a Transformer across patches, and both fused.

  A map that is no multiple of the patch is resized to the next one for the
  Transformer, and back, as in the published code. Section 3.1.

  Attributes:
    width: D of the Transformer.
    depth: L of the Transformer.
    mlp_dim: M.
    num_heads: H.
    patch_size: (height, width) in pixels of the map.
    dropout: rate in the Transformer.
    train: dropout, and batch norm uses and updates statistics of the batch.
    dtype: of the computation.
  """

  width: int
  depth: int
  mlp_dim: int
  num_heads: int
  patch_size: tuple[int, int]
  dropout: float
  train: bool
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, h, w, c] to the same shape."""
    channels = x.shape[-1]
    conv: Any = functools.partial(
      inverted_residual.ConvNorm, train=self.train, dtype=self.dtype
    )
    y = conv(channels, kernel=3, name="local")(x)
    y = nn.Dense(self.width, use_bias=False, dtype=self.dtype, name="embed")(y)
    y = conv(channels, name="project")(self._transform(y))
    return conv(channels, kernel=3, name="fuse")(jnp.concatenate([x, y], -1))

  def _transform(self, x: jax.Array) -> jax.Array:
    """The Transformer on a map [B, h, w, D]."""
    b, h, w, width = x.shape
    ph, pw = self.patch_size
    size = (-(-h // ph) * ph, -(-w // pw) * pw)
    y = unfold(_resized(x, (b, *size, width)), self.patch_size)
    for i in range(self.depth):
      y = TransformerBlock(
        self.num_heads,
        self.mlp_dim,
        self.dropout,
        not self.train,
        self.dtype,
        name=f"block{i}",
      )(y)
    y = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(y)
    return _resized(fold(y, size, self.patch_size), x.shape)


def _resized(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Bilinear; without antialiasing, which PyTorch's does not have."""
  if x.shape == shape:
    return x
  y = jax.image.resize(
    x.astype(jnp.float32), shape, "bilinear", antialias=False
  )
  return y.astype(x.dtype)
