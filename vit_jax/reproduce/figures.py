"""The paper's figures: the values that they show, and our results."""

import dataclasses
import functools
import statistics

from vit_jax.reproduce import (
  ablations,
  computed,
  costs,
  launch,
  pages,
  paper,
  tables,
)
from vit_jax.reproduce.pages import Cell, Page, Results
from vit_jax.reproduce.paper import Number, Row

_FIVE = ("ImageNet", "CIFAR-10", "CIFAR-100", "Pets", "Flowers")
_GROUPS = {
  "VTAB (19)": (0, 19),
  "Natural (7)": (0, 7),
  "Specialized (4)": (7, 11),
  "Structured (8)": (11, 19),
}
_BATCHES = "Figure 12, right: largest batch on a TPUv3 core"
_TOKENS = "Tokens of an image at each size"
_ANALYZE = (
  "python -m vit_jax analyze --checkpoint=CHECKPOINT --images=DIR --out=DIR"
)


def figure_2(results: Results) -> list[Page]:
  """VTAB by groups of tasks; the values of ViT-H/14 follow from Table 9."""
  (nine,) = tables.table_9(results)
  # The first column is ViT-H/14 on JFT.
  tasks = [cells[0] for cells in nine.cells]

  def printed(row: Row, group: str) -> Number | None:
    if row != ("ViT-H/14",):
      return None
    start, stop = _GROUPS[group]
    values = [float(c.paper.value) for c in tasks[start:stop] if c.paper]
    source = f"derived:mean table9 {nine.columns[0]} {start} {stop}"
    return Number(round(statistics.fmean(values), 2), source)

  def ours(row: Row, group: str) -> Number | None:
    numbers = [cell.ours for cell in tasks[slice(*_GROUPS[group])]]
    known = [number for number in numbers if number]
    if row != ("ViT-H/14",) or len(known) < len(numbers):
      return None
    source = " ".join(dict.fromkeys(number.source for number in known))
    return Number(statistics.fmean(float(n.value) for n in known), source)

  grid = paper.grids()["figure2"]
  page = pages.page(results, grid, ours, printed=printed)
  return [dataclasses.replace(page, commands=nine.commands, runs=nine.runs)]


def figure_3(results: Results) -> list[Page]:
  """The rows of Table 5 on ImageNet; the paper does not print BiT's band."""
  (table,) = tables.table_5(results)
  keep = [i for i, row in enumerate(table.rows) if row[1] == "ImageNet"]
  return [
    dataclasses.replace(
      table,
      name="figure3",
      title="Figure 3: ImageNet after fine-tuning, by pre-training set",
      rows=tuple(table.rows[i] for i in keep),
      cells=tuple(table.cells[i] for i in keep),
      notes=(*table.notes, "The values of BiT's band are not printed."),
    )
  ]


def _ablations(name: str, results: Results) -> list[Page]:
  """A figure of 5-shot accuracies."""
  return [ablations.page(results, paper.grids()[name])]


def figure_5(results: Results) -> list[Page]:
  """Accuracy against compute: two columns of Table 6 and the mean of five."""
  (table,) = tables.table_6(results)
  cells = []
  for row, numbers in zip(table.rows, table.cells, strict=True):
    by_column = dict(zip(table.columns, numbers, strict=True))
    five = [float(n.value) for c in _FIVE if (n := by_column[c].paper)]
    source = f"derived:mean table6 {' '.join(row)}"
    mean = Cell(Number(round(statistics.fmean(five), 2), source))
    cells.append((by_column["exaFLOPs"], mean, by_column["ImageNet"]))
  note = (
    "The paper does not name the five data sets; we take those of Table 7,"
    " which have the same average."
  )
  return [
    dataclasses.replace(
      table,
      name="figure5",
      title="Figure 5: transfer against pre-training compute",
      columns=("exaFLOPs", "mean of five", "ImageNet"),
      cells=tuple(cells),
      notes=(note, *table.notes),
    )
  ]


def figure_8(results: Results) -> list[Page]:
  """Scaling one dimension of the model at a time."""
  grid = paper.grids()["figure8"]
  rows, columns = zip(*ablations.runs("figure8"), strict=True)
  points = dataclasses.replace(
    grid,
    title="our runs",
    header=("changed",),
    columns=columns[:1],
    rows=rows,
    values=((None,),) * len(rows),
    notes=(),
  )
  return [pages.page(results, grid), ablations.page(results, points)]


def figure_12(results: Results) -> list[Page]:
  """Tokens, and the largest batch on a core, found by compiling for it."""

  def tokens(row: Row, column: str) -> Number | None:
    (model,), size_px = row, int(column.removesuffix(" px"))
    if costs.is_resnet(model) or not computed.can_take(model, size_px):
      return None
    source = f"computed:tokens {model} {size_px}"
    return Number(costs.tokens(model, size_px), source)

  def batches(row: Row, column: str) -> Number | None:
    (model,), size_px = row, int(column.removesuffix(" px"))
    bounds = computed.largest_batch(results.computed, model, size_px)
    if not computed.is_found(bounds):
      return None
    source = f"file:{results.computed_file} {model} {size_px}"
    return Number(bounds[0], source)

  grid = paper.grids()["figure12"]
  largest = pages.page(results, grid, batches)
  return [
    dataclasses.replace(largest, title=_BATCHES),
    dataclasses.replace(
      pages.page(results, grid, tokens), title=_TOKENS, notes=()
    ),
  ]


def figure_13(results: Results) -> list[Page]:
  """Axial attention."""

  def others(row: Row, column: str) -> Number | None:
    return tables.exaflops((*row, "7"), column)

  return [ablations.page(results, paper.grids()["figure13"], others)]


def _pictures(name: str, results: Results) -> list[Page]:
  """A figure of pictures, which has no numbers."""
  return [pages.page(results, paper.grids()[name], commands=(_ANALYZE,))]


FIGURES = {
  2: figure_2,
  3: figure_3,
  4: functools.partial(_ablations, "figure4"),
  5: figure_5,
  6: functools.partial(_pictures, "figure6"),
  7: functools.partial(_pictures, "figure7"),
  8: figure_8,
  9: functools.partial(_ablations, "figure9"),
  10: functools.partial(_pictures, "figure10"),
  11: functools.partial(_pictures, "figure11"),
  12: figure_12,
  13: figure_13,
  14: functools.partial(_pictures, "figure14"),
}


def masked_patch(results: Results) -> list[Page]:
  """Section 4.6, which has neither table nor figure."""
  workdir = "gs://BUCKET/masked-patch"
  commands = (
    launch.train("masked-patch", "v3:4x4", "configs/masked_patch_b16.py"),
    "python -m vit_jax sweep run --config=configs/sweeps/transfer.py:"
    f"dataset=imagenet2012,checkpoint={workdir} --workdir=runs/masked-patch",
  )

  def ours(row: Row, column: str) -> Number | None:
    del row
    for transfer, number in results.fine_tuned.items():
      key = (transfer.model, transfer.task, transfer.data)
      if key == ("ViT-B/16", "masked_patch", column):
        return number
    return None

  grid = paper.grids()["masked_patch"]
  page = pages.page(results, grid, ours, commands=commands)
  return [dataclasses.replace(page, title="Section 4.6: self-supervision")]
