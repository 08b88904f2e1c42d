"""Attention within windows of a grid, shifted or not (arXiv:2103.14030)."""

import math
from typing import Any, Literal

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp
import numpy as np

from vit_jax.nn import attention

Pad = Literal["before_shift", "after_shift"]
Size = tuple[int, int]


def fitted(grid: Size, window: Size) -> tuple[Size, Size]:
  """The window and its shift on a grid.

  Along an axis where the window is as large as the grid or larger, it shrinks
  to the grid and is not shifted. Else the shift is half a window, rounded
  down.

  Args:
    grid: (gh, gw).
    window: (height, width) in cells of the grid.
  """
  (gh, gw), (wh, ww) = grid, window
  shift = (0 if gh <= wh else wh // 2, 0 if gw <= ww else ww // 2)
  return (min(gh, wh), min(gw, ww)), shift


def partition(x: Any, window: Size) -> Any:
  """A grid [B, gh, gw, D] cut into windows: [B, windows, N, D]."""
  b, gh, gw, width = x.shape
  wh, ww = window
  x = x.reshape(b, gh // wh, wh, gw // ww, ww, width)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, -1, wh * ww, width)


def merge(windows: jax.Array, grid: Size, window: Size) -> jax.Array:
  """The inverse of `partition`: windows to a grid [B, gh, gw, D]."""
  (gh, gw), (wh, ww) = grid, window
  b, _, _, width = windows.shape
  x = windows.reshape(b, gh // wh, gw // ww, wh, ww, width)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, gh, gw, width)


def same_region(grid: Size, window: Size, shift: Size) -> np.ndarray:
  """Which cells of a window may attend to each other: [windows, N, N].

  After a cyclic shift the last window along an axis also holds cells that
  came from the grid's other end; the two groups do not see each other.
  """
  rows, columns = (
    (np.arange(size) >= size - by) & (by > 0)
    for size, by in zip(grid, shift, strict=True)
  )
  numbers = 2 * rows[:, None] + columns[None]
  numbers = partition(numbers[None, :, :, None], window)[0, :, :, 0]
  return numbers[:, :, None] == numbers[:, None, :]


def relative_index(window: Size) -> np.ndarray:
  """Where in a flat table [(2 wh - 1)(2 ww - 1)] a pair's bias is: [N, N].

  The table's rows and columns are the offsets query minus key, from the most
  negative on.
  """
  wh, ww = window
  y, x = (axis.ravel() for axis in np.mgrid[:wh, :ww])
  dy = y[:, None] - y[None] + wh - 1
  dx = x[:, None] - x[None] + ww - 1
  return dy * (2 * ww - 1) + dx


class WindowAttention(nn.Module):
  """Multi-head attention within windows, with a relative position bias.

  A grid that is no multiple of the window is padded with zeros, to which the
  other cells attend as to any other, as in the published code.

  Attributes:
    num_heads: H.
    window: (height, width); not larger than the grid.
    shift: cyclic, by so many cells; (0, 0) is none.
    pad: the order of padding and shift. Before: as in transformers. After: as
      in timm, where cells from opposite ends of the grid then do attend to
      each other.
    dtype: of the computation; logits and softmax are float32.
  """

  num_heads: int
  window: Size
  shift: Size = (0, 0)
  pad: Pad = "before_shift"
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, gh, gw, D] to the same shape."""
    _, gh, gw, _ = x.shape
    wh, ww = self.window
    padded = (-(-gh // wh) * wh, -(-gw // ww) * ww)
    pads = ((0, 0), (0, padded[0] - gh), (0, padded[1] - gw), (0, 0))
    back = (-self.shift[0], -self.shift[1])
    if self.pad == "before_shift":
      x = _rolled(jnp.pad(x, pads), back)
    else:
      x = jnp.pad(_rolled(x, back), pads)
    x = merge(self._attend(partition(x, self.window), padded), padded, (wh, ww))
    if self.pad == "before_shift":
      return _rolled(x, self.shift)[:, :gh, :gw]
    return _rolled(x[:, :gh, :gw], self.shift)

  def _attend(self, x: jax.Array, grid: Size) -> jax.Array:
    """Windows [B, windows, N, D] of a grid, each on its own."""
    width = x.shape[-1]
    init = nn.initializers.normal(stddev=0.02)
    dense = dict(kernel_init=init, dtype=self.dtype)
    features = (self.num_heads, width // self.num_heads)
    query, key, value = (
      nn.DenseGeneral(features, **dense, name=name)(x)
      for name in ("query", "key", "value")
    )
    query /= math.sqrt(width // self.num_heads)
    logits = jnp.einsum(
      "BWNHK,BWTHK->BWHNT", query, key, preferred_element_type=jnp.float32
    )
    logits += self._bias()[None, None]
    if any(self.shift):
      seen = same_region(grid, self.window, self.shift)
      logits = jnp.where(seen[None, :, None], logits, -jnp.inf)
    weights = checkpoint_name(attention.softmax(logits), "attention_weights")
    y = jnp.einsum("BWHNT,BWTHK->BWNHK", weights.astype(self.dtype), value)
    y = checkpoint_name(y, "attended")
    out = nn.DenseGeneral(width, axis=(-2, -1), **dense, name="out")
    return out(y)

  def _bias(self) -> jax.Array:
    """What is added to the logits of each pair: [H, N, N], float32."""
    wh, ww = self.window
    shape = (2 * wh - 1, 2 * ww - 1, self.num_heads)
    table = self.param(
      "relative_bias", nn.initializers.normal(stddev=0.02), shape
    )
    table = table.reshape(-1, self.num_heads)
    return table[relative_index(self.window)].transpose(2, 0, 1)


def _rolled(x: jax.Array, shift: Size) -> jax.Array:
  return jnp.roll(x, shift, axis=(1, 2)) if any(shift) else x
