"""What is common to the layouts of Swin Transformers."""

import math
from typing import Any

from vit_jax.checkpoints.layout import Inferred, Source
from vit_jax.checkpoints.layouts import timm
from vit_jax.core import errors
from vit_jax.models import swin

# The model makes tables of its square before any weight is looked at.
_MAX_WINDOW = 64


def stacks(depth: int) -> list[tuple[str, tuple[str, ...]]]:
  """Our stacks of a stage, and the numbers of the blocks in each."""
  pairs = range(0, depth - depth % 2, 2)
  found = [
    ("regular", tuple(str(n) for n in pairs)),
    ("shifted", tuple(str(n + 1) for n in pairs)),
    ("last", (str(depth - 1),) if depth % 2 else ()),
  ]
  return [(name, numbers) for name, numbers in found if numbers]


def inferred(
  source: Source,
  block: str,
  table: str,
  *,
  patch: str,
  norm: str,
  hidden: str,
  image_size: Any,
  window_size: Any,
  **fields: Any,
) -> Inferred:
  """The config that names and shapes tell.

  Args:
    source: the file.
    block: regex of a block's names, with its number as a group and {} for the
      stage.
    table: regex of the tables of relative positions, with {} for the stage.
    patch: regex of the embedding's kernel.
    norm: regex of the embedding's norm.
    hidden: regex of the first layer of the first stage's MLPs.
    image_size: as config.json says it, or None.
    window_size: likewise.
    **fields: of `swin.Config`.
  """
  depths: list[int] = []
  while depth := source.count(block.format(len(depths))):
    depths.append(depth)
  tables = [table.format(i) for i in range(len(depths))]
  assumptions: list[str] = []
  window = _window(source, tables, window_size, assumptions)
  patch_size = timm.patch_size(source, patch, 4)
  size = source.image_size or (image_size and timm.pair(image_size))
  if not size:
    scale = 2 ** max(len(depths) - 1, 0)
    h, w = (p * n * scale for p, n in zip(patch_size, window, strict=True))
    size = (h, w)
    assumptions.append(
      f"images of {size} px, a single window in the last stage: nothing in the"
      " file tells their size"
    )
  width = source.size(norm, 0, 96)
  config = swin.Config(
    image_size=size,
    patch_size=patch_size,
    width=width,
    depths=tuple(depths),
    num_heads=tuple(source.size(name, 1, 3) for name in tables),
    mlp_ratio=source.size(hidden, 0, 4 * width) / width,
    window_size=window,
    **fields,
  )
  return Inferred(config, assumptions)


def _window(
  source: Source, tables: list[str], said: Any, assumptions: list[str]
) -> tuple[int, int]:
  """(height, width) of the windows: as is said, or a square.

  Raises:
    CheckpointError: neither, or far too large.
  """
  if said:
    window = timm.pair(said)
  else:
    # Where a grid is smaller than the windows, they are the grid.
    count = max((source.size(name, 0, 169) for name in tables), default=169)
    side = math.isqrt(count)
    if side * side != count:
      raise errors.CheckpointError(
        f"{source.path}: {count} relative positions are of no square window;"
        " give the model, with its window_size"
      )
    window = timm.pair((side + 1) // 2)
    assumptions.append(f"window_size={window}: the largest table's")
  if max(window) > _MAX_WINDOW:
    raise errors.CheckpointError(f"{source.path}: windows of {window} cells")
  return window


def padding_objections(config: swin.Config, pad: str) -> list[str]:
  """`window_pad`, where grids are padded and it makes a difference."""
  grid = tuple(
    n // p for n, p in zip(config.image_size, config.patch_size, strict=True)
  )
  for _ in config.depths:
    cells = zip(grid, config.window_size, strict=True)
    padded = any(n > window and n % window for n, window in cells)
    if padded and config.window_pad != pad:
      return [f"window_pad={config.window_pad} at {config.image_size} px"]
    grid = tuple(-(-n // 2) for n in grid)
  return []
