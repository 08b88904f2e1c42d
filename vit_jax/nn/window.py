"""Attention within windows of a grid, shifted or not (arXiv:2103.14030)."""

import functools
import math
from typing import Any, Literal

import flax.linen as nn
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Shaped
import numpy as np

from vit_jax.nn import attention

Pad = Literal["before_shift", "after_shift"]
Size = tuple[int, int]


def fitted(grid: Size, window: Size) -> tuple[Size, Size]:
  """The window that is used on a grid, and its shift.

  Along an axis where the window is not smaller than the grid, it shrinks to
  the grid and is not shifted. Otherwise the shift is half a window, rounded
  down.

  Args:
    grid: (gh, gw).
    window: (height, width) in cells of the grid.
  """
  (gh, gw), (wh, ww) = grid, window
  shift = (0 if gh <= wh else wh // 2, 0 if gw <= ww else ww // 2)
  return (min(gh, wh), min(gw, ww)), shift


def partition(
  x: Shaped[Any, "B gh gw D"], window: Size
) -> Shaped[Any, "B W N D"]:
  """A grid cut into W windows of N cells each."""
  b, gh, gw, width = x.shape
  wh, ww = window
  x = x.reshape(b, gh // wh, wh, gw // ww, ww, width)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, -1, wh * ww, width)


def merge(
  windows: Float[Array, "B W N D"], grid: Size, window: Size
) -> Float[Array, "B gh gw D"]:
  """The inverse of `partition`: a grid from its windows."""
  (gh, gw), (wh, ww) = grid, window
  b, _, _, width = windows.shape
  x = windows.reshape(b, gh // wh, gw // ww, wh, ww, width)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, gh, gw, width)


def same_region(
  grid: Size, window: Size, shift: Size
) -> Bool[np.ndarray, "W N N"]:
  """Which cells of each window may attend to each other.

  After a cyclic shift the last window along an axis also holds cells from the
  other end of the grid; the two groups do not see each other.
  """
  rows, columns = (
    (np.arange(size) >= size - by) & (by > 0)
    for size, by in zip(grid, shift, strict=True)
  )
  numbers = 2 * rows[:, None] + columns[None]
  numbers = partition(numbers[None, :, :, None], window)[0, :, :, 0]
  return numbers[:, :, None] == numbers[:, None, :]


def relative_index(window: Size) -> Int[np.ndarray, "N N"]:
  """The row of each pair's bias in a flat table [(2 wh - 1)(2 ww - 1)].

  Rows and columns of the table are the offsets query minus key, starting with
  the most negative one.
  """
  wh, ww = window
  y, x = (axis.ravel() for axis in np.mgrid[:wh, :ww])
  dy = y[:, None] - y[None] + wh - 1
  dx = x[:, None] - x[None] + ww - 1
  return dy * (2 * ww - 1) + dx


class WindowAttention(nn.Module):
  """Multi-head attention within windows, with a relative position bias.

  A grid that is not a multiple of the window is padded with zeros, and the
  other cells attend to these as to any cell, as in the published code.

  Attributes:
    num_heads: H.
    window: (height, width), not larger than the grid.
    shift: number of cells of the cyclic shift; (0, 0) is none.
    pad: whether the grid is padded before the shift, as in transformers, or
      after it, as in timm, where cells from opposite ends of the grid then
      attend to each other.
    dtype: type of the computation; logits and softmax are float32.
  """

  num_heads: int
  window: Size
  shift: Size = (0, 0)
  pad: Pad = "before_shift"
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "B gh gw D"]) -> Float[Array, "B gh gw D"]:
    """Attends within windows of a grid."""
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

  def _attend(
    self, x: Float[Array, "B W N D"], grid: Size
  ) -> Float[Array, "B W N D"]:
    """Attends within each window of a grid."""
    width = x.shape[-1]
    init = nn.initializers.normal(stddev=0.02)
    dense = functools.partial(
      nn.DenseGeneral, kernel_init=init, dtype=self.dtype
    )
    features = (self.num_heads, width // self.num_heads)
    query, key, value = (
      dense(features, name=name)(x) for name in ("query", "key", "value")
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
    return dense(width, axis=(-2, -1), name="out")(y)

  def _bias(self) -> Float[Array, "H N N"]:
    """The bias of the logits of each pair, float32."""
    wh, ww = self.window
    shape = (2 * wh - 1, 2 * ww - 1, self.num_heads)
    table = self.param(
      "relative_bias", nn.initializers.normal(stddev=0.02), shape
    )
    table = table.reshape(-1, self.num_heads)
    return table[relative_index(self.window)].transpose(2, 0, 1)


def _rolled(
  x: Float[Array, "B gh gw D"], shift: Size
) -> Float[Array, "B gh gw D"]:
  return jnp.roll(x, shift, axis=(1, 2)) if any(shift) else x
