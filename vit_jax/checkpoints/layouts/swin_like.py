"""What is common to the layouts of Swin Transformers."""

import abc
from collections.abc import Mapping
import math
import re
from typing import Any, ClassVar, Literal

from vit_jax.checkpoints.base import Inferred, Source, numbers
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import torch_like
from vit_jax.core import errors
from vit_jax.models import swin

# The model makes tables of its square before any weight is compared.
_MAX_WINDOW = 64


class SwinLike(torch_like.TorchLike):
  """A Swin Transformer with the names of a PyTorch program.

  Attributes:
    block: names of a block's modules, by ours, see `torch_like.block`.
    stages: what the names of a stage begin with, before its number.
    embedding: what the names of the patch embedding begin with.
    embedding_norm: likewise of the norm that follows it.
    norm: likewise of the last norm.
    merge_shift: number of the stage under which a merging of patches is named
      there, minus the number of the stage that it begins.
    window_pad: see `swin.Config`.
  """

  model = "swin"
  block: ClassVar[Mapping[str, str]]
  stages: ClassVar[str]
  embedding: ClassVar[str]
  embedding_norm: ClassVar[str]
  norm: ClassVar[str]
  merge_shift: ClassVar[int] = 0
  window_pad: ClassVar[Literal["before_shift", "after_shift"]]

  @abc.abstractmethod
  def written(self, source: Source) -> Mapping[str, Any]:
    """img_size and window_size as config.json has them, if it does."""

  def new(self, source: Source) -> Inferred:
    block = re.escape(self.stages) + r"\.{}\.blocks\."
    depths = source.depths(block + r"(\d+)\..*")
    table = block + r"\d+\." + re.escape(self.block["attention/relative_bias"])
    tables = [table.format(i) for i in range(len(depths))]
    written = self.written(source)
    assumptions: list[str] = []
    window = _window(source, tables, written.get("window_size"), assumptions)
    kernel = re.escape(self.embedding) + r"\.weight"
    patch_size = torch_like.patch_size(source, kernel, 4)
    image_size = written.get("img_size")
    size = source.image_size or (image_size and torch_like.pair(image_size))
    if not size:
      scale = 2 ** max(len(depths) - 1, 0)
      h, w = (p * n * scale for p, n in zip(patch_size, window, strict=True))
      size = (h, w)
      assumptions.append(
        f"images of {size} px, a single window in the last stage: nothing in"
        " the file tells their size"
      )
    norm = re.escape(self.embedding_norm) + r"\.(weight|bias)"
    width = source.size(norm, 0, 96)
    hidden = block.format(0) + r"\d+\.mlp\.fc1\..*"
    config = swin.Config(
      image_size=size,
      patch_size=patch_size,
      width=width,
      depths=depths,
      num_heads=tuple(source.size(name, 1, 3) for name in tables),
      mlp_ratio=source.size(hidden, 0, 4 * width) / width,
      window_size=window,
      window_pad=self.window_pad,
    )
    return Inferred(config, assumptions)

  def rules(self, config: swin.Config) -> list[Rule]:
    rules = [
      *torch_like.patches(self.embedding),
      *torch_like.norm(self.embedding_norm, "embedding_norm"),
      *torch_like.norm(self.norm, "norm"),
    ]
    for i, depth in enumerate(config.depths):
      theirs, ours = f"{self.stages}.{i}.blocks", f"stage{i}"
      # Blocks are stacked in pairs; of an odd number, one is left over.
      labels = numbers(depth)
      pairs = labels[: depth - depth % 2]
      for name, layers in (("regular", pairs[::2]), ("shifted", pairs[1::2])):
        if layers:
          stack = f"{ours}/pairs/{name}"
          rules += torch_like.block(
            self.block, f"{theirs}.{{L}}", stack, layers
          )
      if depth % 2:
        name = f"{theirs}.{depth - 1}"
        rules += torch_like.block(self.block, name, f"{ours}/last")
      if i:
        down = f"{self.stages}.{i + self.merge_shift}.downsample"
        rules += torch_like.norm(f"{down}.norm", f"{ours}/merge/norm")
        kernel = f"{ours}/merge/reduction/kernel"
        rules.append(Rule(f"{down}.reduction.weight", "O I", kernel, "I O"))
    if config.num_classes:
      rules += torch_like.linear(self.head, "head")
    return rules

  def objections(self, config: swin.Config) -> list[str]:
    """`window_pad`, if a grid is padded, so that it makes a difference."""
    grid = tuple(
      n // p for n, p in zip(config.image_size, config.patch_size, strict=True)
    )
    for _ in config.depths:
      cells = zip(grid, config.window_size, strict=True)
      padded = any(n > window and n % window for n, window in cells)
      if padded and config.window_pad != self.window_pad:
        return [f"window_pad={config.window_pad} at {config.image_size} px"]
      grid = tuple(-(-n // 2) for n in grid)
    return []


def _window(
  source: Source, tables: list[str], written: Any, assumptions: list[str]
) -> tuple[int, int]:
  """(height, width) of the windows, by config.json or else as a square."""
  if written:
    window = torch_like.pair(written)
  else:
    # A grid that is smaller than the windows is a single window.
    count = max((source.size(name, 0, 169) for name in tables), default=169)
    side = math.isqrt(count)
    if side * side != count:
      raise errors.CheckpointError(
        f"{source.path}: {count} relative positions are of no square window;"
        " give the model, with its window_size"
      )
    window = torch_like.pair((side + 1) // 2)
    assumptions.append(f"window_size={window}: the largest table's")
  if max(window) > _MAX_WINDOW:
    raise errors.CheckpointError(f"{source.path}: windows of {window} cells")
  return window
