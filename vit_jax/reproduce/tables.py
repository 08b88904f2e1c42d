"""The paper's tables, filled with our results."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

from vit_jax.core import config as config_lib, identity
from vit_jax.models import vit
from vit_jax.reproduce import ablations, computed, costs, launch, pages, paper
from vit_jax.reproduce.launch import Pretraining
from vit_jax.reproduce.pages import Page, Results
from vit_jax.reproduce.paper import Grid, Number, Row
from vit_jax.reproduce.run_scores import Transfer
from vit_jax.sweeps import sweep as sweep_lib

# Names of data sets in other tables, and in Table 5.
_ALIASES = {
  "CIFAR10": "CIFAR-10",
  "CIFAR100": "CIFAR-100",
  "Oxford-IIIT Pets": "Pets",
  "Oxford Flowers-102": "Flowers",
}
_SIZES = {"ViT-Base": "B", "ViT-Large": "L", "ViT-Huge": "H"}
# Columns of Table 1 and Table 3, and our config fields.
_FIELDS = {
  "layers": "depth",
  "width": "width",
  "MLP": "mlp_dim",
  "heads": "num_heads",
}
_SETTINGS = {
  "base rate": "optim.peak_lr",
  "decay": "optim.schedule.decay",
  "weight decay": "optim.weight_decay",
  "dropout": "model.dropout",
}
# Rows of Table 4, and our sweep's names of the data sets.
_TRANSFERRED = {
  "ImageNet": "imagenet2012",
  "CIFAR100": "cifar100",
  "CIFAR10": "cifar10",
  "Oxford-IIIT Pets": "oxford_iiit_pet",
  "Oxford Flowers-102": "oxford_flowers102",
  "VTAB (19 tasks)": "vtab:cifar100",
}
_FINETUNED_PX = 384
# Table 2 has larger images of ImageNet, by Section 4.2.
_LARGE_PX = {"ViT-L/16": 512, "ViT-H/14": 518}


def table_1(results: Results) -> list[Page]:
  """Variants, and the parameters and multiply-adds of all models."""
  grids = paper.grids()

  def ours(row: Row, column: str) -> Number:
    size = _SIZES[row[0]]
    if column == "parameters":
      return _parameters(f"ViT-{size}/{14 if size == 'H' else 16}", 224, 1000)
    field = _FIELDS[column]
    source = f"config:vit_jax/models/vit.py {size} {field}"
    return Number(vit.VARIANTS[size][field], source)

  return [
    pages.page(results, grids["table1"], ours),
    _all_models(results, grids["counts"], _count),
    _all_models(results, grids["macs"], _gmacs),
  ]


def _parameters(label: str, size_px: int, classes: int) -> Number:
  value = costs.parameters(label, size_px, classes)
  return Number(value, f"computed:parameters {label} {size_px} {classes}")


def _all_models(results: Results, grid: Grid, ours: pages.Numbers) -> Page:
  """A grid of some models, with a row for every model that we have."""
  grids = paper.grids()
  rows = (*grids["counts"].rows, *grids["table6"].rows, *grids["figure12"].rows)
  names = dict.fromkeys(_unique_name(r[0]) for r in rows if r[0] != "ViT-b/32")
  page = pages.page(
    results,
    dataclasses.replace(grid, rows=tuple((name,) for name in names)),
    ours,
    printed=lambda r, c: grid.number(r, c) if r in grid.rows else None,
  )
  return dataclasses.replace(page, title=grid.title)


def _unique_name(label: str) -> str:
  """The label, or one of the paper's other names for a ResNet."""
  family, variant, _ = costs.model_of(label)
  return variant if family == "bit" else label


def _count(row: Row, column: str) -> Number | None:
  (label,) = row
  size_px, classes = {
    "224 px, 1k head": (224, 1000),
    "224 px, no head": (224, 0),
    "384 px, 1k head": (384, 1000),
  }[column]
  if not computed.can_take(label, size_px):
    return None
  # ResNets have the same parameters at any resolution.
  return _parameters(label, 224 if costs.is_resnet(label) else size_px, classes)


def _gmacs(row: Row, column: str) -> Number:
  del column
  return Number(costs.macs(row[0]) / 1e9, f"computed:gmacs {row[0]}")


def _score(
  results: Results, run: Pretraining, data: str, size_px: int
) -> Number | None:
  """Accuracy of the runs that were fine-tuned from a pre-training."""
  transfer = Transfer(
    run.model, run.data, run.epochs, run.optim, data=data, size_px=size_px
  )
  return results.fine_tuned.get(transfer)


def _transfers(
  name: str,
  results: Results,
  *sweeps: tuple[str, ...],
  prefix: str = "",
  imagenet_px: Mapping[str, int] | None = None,
) -> list[Page]:
  """A table whose columns are pre-trainings and whose rows are data sets.

  Args:
    name: name of the table.
    results: what it is filled from.
    *sweeps: arguments of `finetune` for the sweeps that follow public runs.
    prefix: begins the names of the rows' data sets in `run_scores`.
    imagenet_px: size of the images of ImageNet, by model, if it is another.
  """
  grid = paper.grids()[name]
  runs = {column: Pretraining(*fields) for column, fields in grid.runs.items()}

  def ours(row: Row, column: str) -> Number | None:
    if column not in runs:
      return None
    run, data = runs[column], prefix + _ALIASES.get(row[0], row[0])
    size_px = _FINETUNED_PX
    if imagenet_px and data.startswith("ImageNet"):
      size_px = imagenet_px[run.model]
    return _score(results, run, data, size_px)

  commands = [
    run.finetune(*sweep)
    for run in runs.values()
    for sweep in sweeps
    if not run.blocked
  ]
  return [
    pages.page(results, grid, ours, runs=runs.values(), commands=commands)
  ]


def table_2(results: Results) -> list[Page]:
  """Comparison with the state of the art."""
  sweeps = (
    ("imagenet2012", ",res=512"),
    ("cifar10+cifar100+oxford_iiit_pet+oxford_flowers102",),
    ("vtab",),
  )
  return _transfers("table2", results, *sweeps, imagenet_px=_LARGE_PX)


def table_3(results: Results) -> list[Page]:
  """Settings of pre-training, as they are in our configs."""
  grid = paper.grids()["table3"]
  runs = {
    row: Pretraining(
      row[0].replace("ViT-*", "ViT-B/16").replace("R50+", "R50x1+"), *row[1:]
    )
    for row in grid.rows
  }

  @functools.cache
  def fields(row: Row) -> dict[str, Any]:
    path, _, arg = runs[row].config.partition(":")
    return identity.leaves(config_lib.load(launch.checkout_file(path), arg))

  def ours(row: Row, column: str) -> Number:
    field = _SETTINGS[column]
    # ResNets have no dropout.
    return Number(
      fields(row).get(field, 0.0), f"config:{runs[row].config} {field}"
    )

  return [pages.page(results, grid, ours, runs=runs.values())]


def table_4(results: Results) -> list[Page]:
  """Settings of fine-tuning, as they are in our sweep."""
  path = "configs/sweeps/transfer.py"

  def ours(row: Row, column: str) -> Number:
    arg = f"dataset={_TRANSFERRED[row[0]]}"
    sweep = sweep_lib.load(launch.checkout_file(path), arg)
    if column == "base rates":
      rates = dict.fromkeys(f"{s[':lr']:g}" for s in sweep.settings)
      return Number(", ".join(rates), f"config:{path}:{arg} lr")
    steps = str(config_lib.load(sweep.config, arg).duration).split()[0]
    return Number(int(steps), f"config:{path}:{arg} duration")

  return [pages.page(results, paper.grids()["table4"], ours)]


def table_5(results: Results) -> list[Page]:
  """Five ViTs, three pre-training sets, six data sets."""
  grid = paper.grids()["table5"]
  runs = {}
  for data, length in {
    "ImageNet": "300",
    "ImageNet-21k": "90",
    "JFT-300M": "",
  }.items():
    for model in grid.columns:
      if (data, model) != ("ImageNet", "ViT-H/14"):
        epochs = "14" if model in ("ViT-L/16", "ViT-H/14") else "7"
        runs[data, model] = Pretraining(model, data, length or epochs)

  def ours(row: Row, column: str) -> Number | None:
    run = runs.get((row[0], column))
    return _score(results, run, row[1], _FINETUNED_PX) if run else None

  sweeps = [r.finetune("usual") for r in runs.values() if not r.blocked]
  return [pages.page(results, grid, ours, runs=runs.values(), commands=sweeps)]


def table_6(results: Results) -> list[Page]:
  """Eighteen models on JFT: transfer, and exaFLOPs, which are computed."""
  grid = paper.grids()["table6"]
  runs = [Pretraining(model, "JFT-300M", epochs) for model, epochs in grid.rows]
  return [pages.page(results, grid, exaflops, runs=runs)]


def exaflops(row: Row, column: str) -> Number | None:
  """The exaFLOPs of a row (model, epochs); None in other columns."""
  if column != "exaFLOPs":
    return None
  model, epochs = row
  value = round(costs.exaflops(model, int(epochs)), 1)
  return Number(value, f"computed:exaflops {model} {epochs}")


def table_8(results: Results) -> list[Page]:
  """Position embeddings."""
  return [ablations.page(results, paper.grids()["table8"])]


def table_9(results: Results) -> list[Page]:
  """The 19 tasks of VTAB."""
  return _transfers("table9", results, ("vtab",), prefix="VTAB ")


TABLES = {
  1: table_1,
  2: table_2,
  3: table_3,
  4: table_4,
  5: table_5,
  6: table_6,
  7: functools.partial(_transfers, "table7"),
  8: table_8,
  9: table_9,
}
