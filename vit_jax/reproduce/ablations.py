"""Runs of the paper's ablations, on a public data set.

Table 8 and Figures 4, 8, 9 and 13 judge a pre-training by its 5-shot accuracy
on ImageNet. ImageNet-21k takes the place of JFT-300M; see `fewshot`.
"""

from collections.abc import Mapping
import dataclasses
import re

from vit_jax.reproduce import launch, pages
from vit_jax.reproduce.paper import Grid, Number, Place, Row

# Percent of the images, as 9, 30, 90 and all of 303 million are in Figure 4.
_SHARES = (3, 10, 30, 100)
_SHAPE = {
  "model.depth": 8,
  "model.width": 1024,
  "model.mlp_dim": 2048,
  # The paper does not print it.
  "model.num_heads": 16,
}
# These values were chosen here: the paper prints none.
_SHAPES = {
  "base": ("ViT-B/32", {}),
  "depth 16": ("ViT-B/32", {"model.depth": 16}),
  "depth 32": ("ViT-B/32", {"model.depth": 32}),
  "depth 64": ("ViT-B/32", {"model.depth": 64}),
  "width 1536": ("ViT-B/32", {"model.width": 1536}),
  "width 2048": ("ViT-B/32", {"model.width": 2048}),
  "MLP 4096": ("ViT-B/32", {"model.mlp_dim": 4096}),
  "MLP 8192": ("ViT-B/32", {"model.mlp_dim": 8192}),
  "patch 16": ("ViT-B/16", {}),
  "patch 14": ("ViT-B/14", {}),
  "all": (
    "ViT-B/32",
    {"model.depth": 12, "model.width": 1280, "model.mlp_dim": 2560},
  ),
}
_KINDS = {"none": "none", "1d": "learned_1d", "2d": "learned_2d"}
_ENTRIES = {
  "stem": "stem",
  "every layer": "every_layer",
  "every layer, shared": "shared",
}
_POOLS = {
  "CLS-Token lr=8e-4": ("token", 8e-4),
  "GAP lr=8e-4": ("gap", 8e-4),
  "GAP lr=3e-4": ("gap", 3e-4),
}


@dataclasses.dataclass(frozen=True)
class Ablation:
  """A pre-training run of an ablation.

  Attributes:
    name: name of its workdir and its machines.
    model: as the paper writes it.
    share: percent of the training images that it uses.
    fields: values of config fields, by dotted path.
  """

  name: str
  model: str
  share: int = 100
  fields: Mapping[str, str | int | float] = dataclasses.field(
    default_factory=dict
  )

  @property
  def config(self) -> str:
    """The config file with its argument, as `train --config` takes it."""
    share = f",share={self.share}" if self.share != 100 else ""
    return f"vit_jax/reproduce/fewshot.py:model={self.model}{share}"

  def command(self) -> str:
    """The launch command."""
    return launch.train(
      self.name,
      launch.slice_of(self.model),
      self.config,
      *(f"--config.{field}={value}" for field, value in self.fields.items()),
    )


def _slug(*words: str | int | float) -> str:
  text = " ".join(map(str, words)).lower()
  return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def images(grid: Grid) -> dict[Place, Ablation]:
  """Figure 4: models by shares of the images."""
  runs = {}
  for row in grid.rows:
    model = row[0].removesuffix(" (BiT)")
    # ViT-b is ViT-B with half its widths; names of machines ignore case.
    slug = _slug("images", model.replace("-b/", "-half-b/"))
    for column, share in zip(grid.columns, _SHARES, strict=True):
      runs[row, column] = Ablation(f"{slug}-{share}", model, share)
  return runs


def shapes() -> dict[str, Ablation]:
  """Figure 8: one dimension of the model scaled, by name of the change."""
  return {
    name: Ablation(_slug("shape", name), model, fields={**_SHAPE, **fields})
    for name, (model, fields) in _SHAPES.items()
  }


def pools(grid: Grid) -> dict[Place, Ablation]:
  """Figure 9: class token and global average pooling."""
  (column,) = grid.columns
  runs = {}
  for row in grid.rows:
    pool, rate = _POOLS[row[0]]
    fields = {"model.pool": pool, "optim.peak_lr": rate}
    name = _slug("pool", pool, f"{rate:g}")
    runs[row, column] = Ablation(name, "ViT-B/16", fields=fields)
  return runs


def axial(grid: Grid) -> dict[Place, Ablation]:
  """Figure 13: attention along rows and columns."""
  return {
    (row, grid.columns[0]): Ablation(_slug("axial", row[0]), row[0])
    for row in grid.rows
  }


def positions(grid: Grid) -> dict[Place, Ablation]:
  """Table 8: position embeddings, and where they enter."""
  runs = {}
  for row in grid.rows:
    kind = _KINDS.get(row[0], row[0])
    for column in grid.columns:
      if grid.number(row, column):
        at = "every_layer" if kind == "relative" else _ENTRIES[column]
        fields = {"model.posemb": kind, "model.posemb_at": at}
        name = _slug("posemb", kind, at)
        runs[row, column] = Ablation(name, "ViT-B/16", fields=fields)
  return runs


def page(
  results: pages.Results,
  grid: Grid,
  runs: Mapping[Place, Ablation],
  notes: tuple[str, ...] = (),
  others: pages.Numbers = lambda row, column: None,
) -> pages.Page:
  """A table of 5-shot accuracies in its unit, and the commands of its runs.

  Args:
    results: the results, for the accuracies.
    grid: the table.
    runs: the runs by their places in the table.
    notes: paragraphs below the table.
    others: gives the numbers that are no accuracies.
  """
  factor = 1 if grid.unit == "fraction" else 100

  def ours(row: Row, column: str) -> Number | None:
    run = runs.get((row, column))
    score = results.few_shot.get(run.name) if run else None
    if not score:
      return others(row, column)
    return Number(factor * float(score.value), score.source)

  commands = [run.command() for run in runs.values()]
  return pages.page(results, grid, ours, notes=notes, commands=commands)
