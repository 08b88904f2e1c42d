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
from vit_jax.reproduce.paper import Number, Place

_FIVE = ("ImageNet", "CIFAR-10", "CIFAR-100", "Pets", "Flowers")
_GROUPS = {
  "VTAB (19)": (0, 19),
  "Natural (7)": (0, 7),
  "Specialized (4)": (7, 11),
  "Structured (8)": (11, 19),
}
_BATCHES = "Figure 12, right: largest batch on a TPUv3 core"
_TOKENS = "Tokens of an image at each size"
_JFT = "Not reproducible: JFT-300M is private to Google."
_ANALYZE = (
  "python -m vit_jax analyze --checkpoint=CHECKPOINT --images=DIR --out=DIR"
)


def figure_2(results: Results) -> list[Page]:
  """VTAB by groups of tasks; the values of ViT-H/14 follow from Table 9."""
  table = paper.grids()["table9"]
  (page_9,) = tables.table_9(results)
  row, column = ("ViT-H/14",), "ViT-H/14 (JFT)"
  values = [values[table.columns.index(column)] for values in table.values]
  cells = {}
  for group, (start, stop) in _GROUPS.items():
    mean = statistics.fmean(float(v or 0.0) for v in values[start:stop])
    source = f"derived:mean table9 {column} {start} {stop}"
    numbers = [cells[0].ours for cells in page_9.cells[start:stop]]
    cells[group] = Cell(Number(round(mean, 2), source), _mean(numbers))
  page = pages.page(paper.grids()["figure2"], {}, (_JFT,))
  filled = tuple(
    tuple(cells[group] for group in page.columns) if name == row else empty
    for name, empty in zip(page.rows, page.cells, strict=True)
  )
  return [
    dataclasses.replace(
      page, cells=filled, commands=page_9.commands, runs=page_9.runs
    )
  ]


def _mean(numbers: list[Number | None]) -> Number | None:
  """The mean of all numbers; None if one is missing."""
  known = [number for number in numbers if number]
  if len(known) < len(numbers):
    return None
  source = " ".join(dict.fromkeys(number.source for number in known))
  return Number(statistics.fmean(float(n.value) for n in known), source)


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


def figure_4(results: Results) -> list[Page]:
  """5-shot accuracy by number of pre-training images."""
  grid = paper.grids()["figure4"]
  note = (
    f"{_JFT} With shares of ImageNet-21k in its place (3, 10, 30, 100 %; the"
    " best evaluation of each run counts):"
  )
  return [tables.ablation_page(grid, ablations.images(grid), results, note)]


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
    "The paper does not name the five sets; those of Table 7, whose average is"
    " theirs, are taken."
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
  note = (
    "The number of heads is not printed either; 16 are taken. On ImageNet-21k,"
    " with values that were chosen here:"
  )
  grid = paper.grids()["figure8"]
  runs = ablations.shapes()
  column = grid.columns[0]
  places = {((name,), column): run for name, run in runs.items()}
  ours = ablations.scores(places, results.few_shot, grid.unit)
  points = Page(
    name=grid.name,
    title="Figure 8: our runs",
    header=("changed",),
    columns=(column,),
    rows=tuple((name,) for name in runs),
    cells=tuple((Cell(None, ours.get(place)),) for place in places),
    commands=tuple(run.command() for run in runs.values()),
  )
  return [pages.page(grid, {}, (_JFT, note)), points]


def figure_9(results: Results) -> list[Page]:
  """Class token against global average pooling."""
  note = f"{_JFT} On ImageNet-21k, with ViT-B/16:"
  grid = paper.grids()["figure9"]
  return [tables.ablation_page(grid, ablations.pools(grid), results, note)]


def figure_12(results: Results) -> list[Page]:
  """Tokens, and the largest batch on a core, found by compiling for it."""
  grid = paper.grids()["figure12"]
  tokens: dict[Place, Number] = {}
  batches: dict[Place, Number] = {}
  for row in grid.rows:
    for column in grid.columns:
      size_px = int(column.removesuffix(" px"))
      is_resnet = costs.model_of(row[0])[0] == "bit"
      if not is_resnet and computed.can_take(row[0], size_px):
        source = f"computed:tokens {row[0]} {size_px}"
        value = costs.tokens(row[0], size_px)
        tokens[row, column] = Number(value, source)
      bounds = computed.largest_batch(results.computed, row[0], size_px)
      if computed.is_found(bounds):
        source = f"file:{results.computed_file} {row[0]} {size_px}"
        batches[row, column] = Number(bounds[0], source)
  notes = (
    "Speed needs the device. The largest batch is that of a training step with"
    " Adam and bfloat16 computation, found by compiling it for one core of a"
    " TPUv3; batches are powers of 2 and three times those, so that the next"
    " does not fit. The paper does not say whether its batches are of training."
    " What has an effort of -1 in results/reproduction/computed.jsonl was"
    " compiled with the compiler's least effort, which takes about half the"
    " time and, where both were tried, a ResNet the same memory"
    " (docs/log.md). 0: not one image fits. Empty: not compiled yet, or the"
    " patches do not divide the image.",
  )
  return [
    dataclasses.replace(pages.page(grid, batches, notes), title=_BATCHES),
    dataclasses.replace(pages.page(grid, tokens), title=_TOKENS, notes=()),
  ]


def figure_13(results: Results) -> list[Page]:
  """Axial attention."""
  grid = paper.grids()["figure13"]
  runs = ablations.axial(grid)
  ours = ablations.scores(runs, results.few_shot, "%")
  for row in grid.rows:
    value = costs.exaflops(row[0], 7)
    source = f"computed:exaflops {row[0]} 7"
    ours[row, "exaFLOPs"] = Number(round(value, 1), source)
  notes = (
    "exaFLOPs are those of 7 epochs on JFT-300M; speed needs the device.",
    f"{_JFT} On ImageNet-21k:",
  )
  commands = tuple(run.command() for run in runs.values())
  return [pages.page(grid, ours, notes, (), commands)]


def _pictures(number: int, results: Results) -> list[Page]:
  """A figure of pictures, which has no numbers."""
  del results
  title, model, note = _PICTURES[number]
  return [
    Page(
      name=f"figure{number}",
      title=f"Figure {number}: {title}",
      header=("model",),
      columns=(),
      rows=((model,),),
      cells=((),),
      notes=(note,),
      commands=(_ANALYZE,),
    )
  ]


_PUBLISHED = (
  "The paper's model is not published; the same model, pre-trained on"
  " ImageNet-21k, is (gs://vit_models/imagenet21k). The methods and their free"
  " choices are those of `analyze`."
)
_PICTURES = {
  6: ("attention from the class token to the image", "ViT-L/16", _PUBLISHED),
  7: (
    "filters, position similarity, attention distance",
    "ViT-L/32 and ViT-L/16",
    _PUBLISHED,
  ),
  10: (
    "position similarity of three settings",
    "ViT-L/16",
    "Not reproducible: three runs on JFT-300M (7 epochs at 2e-4 with decay"
    " 0.01; 7 and 14 epochs at 4e-4 with decay 0.1).",
  ),
  11: (
    "attention distance by head and depth",
    "ViT-L/16 and R50x1+ViT-L/16",
    _PUBLISHED,
  ),
  14: ("more attention maps, drawn at random", "ViT-L/16", _PUBLISHED),
}
FIGURES = {
  2: figure_2,
  3: figure_3,
  4: figure_4,
  5: figure_5,
  6: functools.partial(_pictures, 6),
  7: functools.partial(_pictures, 7),
  8: figure_8,
  9: figure_9,
  10: functools.partial(_pictures, 10),
  11: functools.partial(_pictures, 11),
  12: figure_12,
  13: figure_13,
  14: functools.partial(_pictures, 14),
}


def masked_patch(results: Results) -> list[Page]:
  """Section 4.6, which has neither table nor figure."""
  note = (
    "Not reproducible as printed: JFT-300M is private to Google. On ImageNet"
    " the paper sees similar gains (B.1.2):"
  )
  workdir = "gs://BUCKET/masked-patch"
  commands = (
    launch.train("masked-patch", "v3:4x4", "configs/masked_patch_b16.py"),
    "python -m vit_jax sweep run --config=configs/sweeps/transfer.py:"
    f"dataset=imagenet2012,checkpoint={workdir} --workdir=runs/masked-patch",
  )
  grid = paper.grids()["masked_patch"]
  ours: dict[Place, Number] = {}
  for transfer, number in results.fine_tuned.items():
    key = (transfer.model, transfer.task, transfer.data)
    if key == ("ViT-B/16", "masked_patch", "ImageNet"):
      ours[grid.rows[0], "ImageNet"] = number
  page = pages.page(grid, ours, (note,), (), commands)
  return [dataclasses.replace(page, title="Section 4.6: self-supervision")]
