"""The paper's figures: what they would show, and what is known of ours."""

import dataclasses
import statistics

from vit_jax.core import errors
from vit_jax.reproduce import (
  ablations,
  costs,
  filled,
  kept,
  launch,
  paper,
  tables,
)
from vit_jax.reproduce.filled import Known
from vit_jax.reproduce.pages import Cell, Page
from vit_jax.reproduce.paper import Number

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


def figure_2(known: Known) -> list[Page]:
  """VTAB by groups; those of ViT follow from Table 9."""
  grid = paper.grids()["figure2"]
  table = paper.grids()["table9"]
  row, column = ("ViT-H/14",), "ViT-H/14 (JFT)"
  (page,) = tables.table_9(known)
  ours = {}
  for group, (start, stop) in _GROUPS.items():
    done = [c[0].ours for c in page.cells[start:stop]]
    if all(done):
      numbers = [n for n in done if n]
      source = " ".join(dict.fromkeys(n.source for n in numbers))
      mean = statistics.fmean(float(n.value) for n in numbers)
      ours[row, group] = Number(mean, source)
  shown = filled.page(grid, ours, (_JFT,))
  cells = []
  for i, name in enumerate(shown.rows):
    means = [_group_mean(table, column, *_GROUPS[g]) for g in shown.columns]
    if name == row:
      own = zip(means, shown.cells[i], strict=True)
      cells.append(tuple(Cell(mean, cell.ours) for mean, cell in own))
    else:
      cells.append(shown.cells[i])
  rest = dict(commands=page.commands, runs=page.runs)
  return [dataclasses.replace(shown, cells=tuple(cells), **rest)]


def _group_mean(
  table: paper.Grid, column: str, start: int, stop: int
) -> Number:
  j = table.columns.index(column)
  values = [float(row[j] or 0.0) for row in table.values[start:stop]]
  source = f"derived:mean {table.name} {column} {start} {stop}"
  return Number(round(statistics.fmean(values), 2), source)


def figure_3(known: Known) -> list[Page]:
  """The rows of Table 5 on ImageNet; BiT's band is not printed."""
  (table,) = tables.table_5(known)
  keep = [i for i, row in enumerate(table.rows) if row[1] == "ImageNet"]
  return [
    Page(
      "figure3",
      "Figure 3: ImageNet after fine-tuning, by pre-training set",
      table.header,
      table.columns,
      tuple(table.rows[i] for i in keep),
      tuple(table.cells[i] for i in keep),
      (*table.notes, "The values of BiT's band are not printed."),
      table.commands,
      table.runs,
    )
  ]


def figure_4(known: Known) -> list[Page]:
  """5-shot by number of images."""
  grid = paper.grids()["figure4"]
  note = (
    f"{_JFT} With shares of ImageNet-21k in its place (3, 10, 30, 100 %; the"
    " best evaluation of each run counts):"
  )
  return [filled.ablated(grid, ablations.images(grid), known, note)]


def figure_5(known: Known) -> list[Page]:
  """Accuracy against compute: two columns of Table 6 and the mean of five."""
  (table,) = tables.table_6(known)
  columns = ("exaFLOPs", "mean of five", "ImageNet")
  cells = []
  for row, found in zip(table.rows, table.cells, strict=True):
    of = dict(zip(table.columns, found, strict=True))
    five = [of[name].paper for name in _FIVE]
    values = [float(n.value) for n in five if n]
    source = f"derived:mean table6 {' '.join(row)}"
    mean = Cell(Number(round(statistics.fmean(values), 2), source))
    cells.append((of["exaFLOPs"], mean, of["ImageNet"]))
  note = (
    "The paper does not name the five sets; those of Table 7, whose average is"
    " theirs, are taken."
  )
  return [
    Page(
      "figure5",
      "Figure 5: transfer against pre-training compute",
      table.header,
      columns,
      table.rows,
      tuple(cells),
      (note, *table.notes),
      table.commands,
      table.runs,
    )
  ]


def figure_8(known: Known) -> list[Page]:
  """Scaling one dimension; the compute of some values is known."""
  note = (
    "The number of heads is not printed either; 16 are taken. On ImageNet-21k,"
    " with values that were chosen here:"
  )
  grid = paper.grids()["figure8"]
  runs = ablations.shapes()
  column = grid.columns[0]
  ours = ablations.scores(
    {((name,), column): run for name, run in runs.items()},
    known.few_shot,
    grid.unit,
  )
  points = Page(
    name=grid.name,
    title="Figure 8: our runs",
    header=("changed",),
    columns=(column,),
    rows=tuple((name,) for name in runs),
    cells=tuple((Cell(None, ours.get(((name,), column))),) for name in runs),
    commands=tuple(run.command() for run in runs.values()),
  )
  return [filled.page(grid, {}, (_JFT, note)), points]


def figure_9(known: Known) -> list[Page]:
  """Class token against global average pooling."""
  note = f"{_JFT} On ImageNet-21k, with ViT-B/16:"
  grid = paper.grids()["figure9"]
  return [filled.ablated(grid, ablations.pools(grid), known, note)]


def figure_12(known: Known) -> list[Page]:
  """Tokens, and the largest batch on a core by compiling for it."""
  grid = paper.grids()["figure12"]
  tokens, batches = {}, {}
  for row in grid.rows:
    for column in grid.columns:
      size_px = int(column.removesuffix(" px"))
      try:
        value = costs.tokens(row[0], size_px)
      except errors.ConfigError:
        pass
      else:
        source = f"computed:tokens {row[0]} {size_px}"
        tokens[row, column] = Number(value, source)
      bounds = kept.largest_batch(known.kept, row[0], size_px)
      if kept.is_found(bounds):
        source = f"file:{known.kept_file} {row[0]} {size_px}"
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
    dataclasses.replace(filled.page(grid, batches, notes), title=_BATCHES),
    dataclasses.replace(filled.page(grid, tokens), title=_TOKENS, notes=()),
  ]


def figure_13(known: Known) -> list[Page]:
  """Axial attention."""
  grid = paper.grids()["figure13"]
  runs = ablations.axial(grid)
  ours = ablations.scores(runs, known.few_shot, "%")
  for row in grid.rows:
    value = costs.exaflops(row[0], 7)
    source = f"computed:exaflops {row[0]} 7"
    ours[row, "exaFLOPs"] = Number(round(value, 1), source)
  notes = (
    "exaFLOPs are those of 7 epochs on JFT-300M; speed needs the device.",
    f"{_JFT} On ImageNet-21k:",
  )
  commands = tuple(run.command() for run in runs.values())
  return [filled.page(grid, ours, notes, (), commands)]


def _pictures(number: int, title: str, model: str, note: str) -> list[Page]:
  """A figure of pictures, which has no numbers."""
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
_GRIDS = {
  2: figure_2,
  3: figure_3,
  4: figure_4,
  5: figure_5,
  8: figure_8,
  9: figure_9,
  12: figure_12,
  13: figure_13,
}
NUMBERS = tuple(sorted({*_GRIDS, *_PICTURES}))


def figure(number: int, known: Known) -> list[Page]:
  """The pages of a figure, one of `NUMBERS`."""
  if number in _GRIDS:
    return _GRIDS[number](known)
  return _pictures(number, *_PICTURES[number])


def masked_patch(known: Known) -> list[Page]:
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
  ours = {}
  for kind, number in known.finished.items():
    done = (kind.model, kind.task, kind.data)
    if done == ("ViT-B/16", "masked_patch", "ImageNet"):
      ours[grid.rows[0], "ImageNet"] = number
  found = filled.page(grid, ours, (note,), (), commands)
  return [dataclasses.replace(found, title="Section 4.6: self-supervision")]
