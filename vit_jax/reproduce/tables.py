"""The paper's tables, filled with our results."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from vit_jax.core import config as config_lib
from vit_jax.models import vit
from vit_jax.reproduce import ablations, computed, costs, launch, pages, paper
from vit_jax.reproduce.launch import Pretraining
from vit_jax.reproduce.pages import Cell, Page, Results
from vit_jax.reproduce.paper import Grid, Number, Place
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
_FINETUNED_PX = 384
_JFT = "JFT-300M"
# Table 2 has larger images of ImageNet, by Section 4.2.
_LARGE_PX = {"ViT-L/16": 512, "ViT-H/14": 518}


def table_1(results: Results) -> list[Page]:
  """Variants, and the parameters and multiply-adds of all models."""
  del results
  grid = paper.grids()["table1"]
  fields = {
    "layers": "depth",
    "width": "width",
    "MLP": "mlp_dim",
    "heads": "num_heads",
  }
  ours: dict[Place, Number] = {}
  for row in grid.rows:
    size = _SIZES[row[0]]
    for column, field in fields.items():
      source = f"config:vit_jax/models/vit.py {size} {field}"
      ours[row, column] = Number(vit.VARIANTS[size][field], source)
    patch = 14 if size == "H" else 16
    ours[row, "parameters"] = _parameters(f"ViT-{size}/{patch}", 224, 1000)
  grids = paper.grids()
  return [
    pages.page(grid, ours),
    _all_models(grids["counts"], _count),
    _all_models(grids["macs"], _gmacs),
  ]


def _parameters(label: str, size_px: int, classes: int) -> Number:
  value = costs.parameters(label, size_px, classes)
  return Number(value, f"computed:parameters {label} {size_px} {classes}")


def _all_models(grid: Grid, ours: Callable[[str, str], Number | None]) -> Page:
  """The grid with a row for every model of the paper that we have.

  Args:
    grid: has one row for each of some of the models.
    ours: our number by model and column.
  """
  grids = paper.grids()
  rows = (*grids["counts"].rows, *grids["table6"].rows, *grids["figure12"].rows)
  names = dict.fromkeys(_unique_name(r[0]) for r in rows if r[0] != "ViT-b/32")

  def cell(name: str, column: str) -> Cell:
    row = (name,)
    printed = grid.number(row, column) if row in grid.rows else None
    return Cell(printed, ours(name, column))

  return Page(
    name=grid.name,
    title=grid.title,
    header=grid.header,
    columns=grid.columns,
    rows=tuple((name,) for name in names),
    cells=tuple(tuple(cell(n, c) for c in grid.columns) for n in names),
  )


def _unique_name(label: str) -> str:
  """The label, or one of the names that the paper has for a ResNet."""
  family, variant, _ = costs.model_of(label)
  return variant if family == "bit" else label


def _count(label: str, column: str) -> Number | None:
  size_px, classes = {
    "224 px, 1k head": (224, 1000),
    "224 px, no head": (224, 0),
    "384 px, 1k head": (384, 1000),
  }[column]
  if not computed.can_take(label, size_px):
    return None
  # ResNets have the same parameters at any resolution.
  is_resnet = costs.model_of(label)[0] == "bit"
  return _parameters(label, 224 if is_resnet else size_px, classes)


def _gmacs(label: str, column: str) -> Number:
  del column
  return Number(costs.macs(label) / 1e9, f"computed:gmacs {label}")


def _score(
  results: Results, run: Pretraining, data: str, size_px: int
) -> Number | None:
  """Accuracy of the runs that were fine-tuned from a pre-training."""
  epochs = {"ImageNet": "300", "ImageNet-21k": "90"}.get(run.data)
  transfer = Transfer(
    model=run.model,
    pretrained=run.data,
    epochs=epochs or run.config.rpartition("epochs=")[2].split(",")[0],
    optimizer=run.config.partition("optim=")[2] or "adamw",
    data=data,
    size_px=size_px,
  )
  return results.fine_tuned.get(transfer)


def _transfer_page(
  results: Results,
  name: str,
  runs: Mapping[str, Pretraining],
  data: Callable[[str], str] = lambda row: _ALIASES.get(row, row),
  imagenet_px: Mapping[str, int] | None = None,
  notes: tuple[str, ...] = (),
  sweeps: tuple[str, ...] = (),
) -> list[Page]:
  """A table whose columns are pre-trainings and whose rows are data sets.

  Args:
    results: what it is filled from.
    name: name of the table.
    runs: pre-training of each of our columns.
    data: name of a row's data set in `run_scores`.
    imagenet_px: size of the images of ImageNet, by model, if it is another.
    notes: paragraphs below the table.
    sweeps: commands of fine-tuning sweeps.
  """
  grid = paper.grids()[name]
  ours: dict[Place, Number] = {}
  for column, run in runs.items():
    for row in grid.rows:
      data_set, size_px = data(row[0]), _FINETUNED_PX
      if imagenet_px and data_set.startswith("ImageNet"):
        size_px = imagenet_px[run.model]
      if number := _score(results, run, data_set, size_px):
        ours[row, column] = number
  commands = (*pages.launches(runs.values(), results), *sweeps)
  return [pages.page(grid, ours, notes, runs.values(), commands)]


def table_2(results: Results) -> list[Page]:
  """Comparison with the state of the art."""
  public = launch.imagenet21k("ViT-L/16")
  return _transfer_page(
    results,
    "table2",
    {
      "Ours-JFT ViT-H/14": launch.jft("ViT-H/14", "14"),
      "Ours-JFT ViT-L/16": launch.jft("ViT-L/16", "14"),
      "Ours-I21k ViT-L/16": public,
    },
    imagenet_px=_LARGE_PX,
    notes=(
      "BiT-L and Noisy Student are others' runs and are not repeated here.",
    ),
    sweeps=(
      public.finetune("imagenet2012", ",res=512"),
      public.finetune("cifar10+cifar100+oxford_iiit_pet+oxford_flowers102"),
      public.finetune("vtab"),
    ),
  )


def table_3(results: Results) -> list[Page]:
  """Settings of pre-training, as they are in our configs."""
  grid = paper.grids()["table3"]
  runs = []
  ours: dict[Place, Number] = {}
  for row in grid.rows:
    model, data, epochs = row
    run = _pretraining("ViT-B/16" if model == "ViT-*" else model, data, epochs)
    runs.append(run)
    path, _, arg = run.config.partition(":")
    c: Any = config_lib.load(launch.checkout_file(path), arg)
    values = {
      "base rate": ("optim.peak_lr", c.optim.peak_lr),
      "decay": ("optim.schedule.decay", c.optim.schedule.decay),
      "weight decay": ("optim.weight_decay", c.optim.weight_decay),
      # ResNets have none.
      "dropout": ("model.dropout", c.model.get("dropout", 0.0)),
    }
    for column, (field, value) in values.items():
      ours[row, column] = Number(value, f"config:{run.config} {field}")
  return [pages.page(grid, ours, (), runs, pages.launches(runs, results))]


def _pretraining(model: str, data: str, epochs: str) -> Pretraining:
  model = model.replace("R50+", "R50x1+")
  if data == "ImageNet":
    return launch.imagenet(model)
  if data == "ImageNet-21k":
    run = launch.imagenet21k(model)
    longer = f"{run.config},epochs={epochs}" if epochs != "90" else run.config
    return dataclasses.replace(run, config=longer)
  return launch.jft(model, epochs)


def table_4(results: Results) -> list[Page]:
  """Settings of fine-tuning, as they are in our sweep."""
  del results
  grid = paper.grids()["table4"]
  names = {
    "ImageNet": "imagenet2012",
    "CIFAR100": "cifar100",
    "CIFAR10": "cifar10",
    "Oxford-IIIT Pets": "oxford_iiit_pet",
    "Oxford Flowers-102": "oxford_flowers102",
    "VTAB (19 tasks)": "vtab:cifar100",
  }
  path = "configs/sweeps/transfer.py"
  ours: dict[Place, Number] = {}
  for row in grid.rows:
    arg = f"dataset={names[row[0]]}"
    sweep, config = sweep_lib.load(launch.checkout_file(path), arg)
    rates = dict.fromkeys(f"{s[':lr']:g}" for s in sweep.settings)
    steps = str(config_lib.load(config, arg).duration).split()[0]
    source = f"config:{path}:{arg}"
    ours[row, "base rates"] = Number(", ".join(rates), f"{source} lr")
    ours[row, "steps"] = Number(int(steps), f"{source} duration")
  return [pages.page(grid, ours)]


def table_5(results: Results) -> list[Page]:
  """Five ViTs, three pre-training sets, six data sets."""
  grid = paper.grids()["table5"]
  ours: dict[Place, Number] = {}
  runs = []
  for data in ("ImageNet", "ImageNet-21k", _JFT):
    for model in grid.columns:
      if (data, model) == ("ImageNet", "ViT-H/14"):
        continue
      jft_epochs = "14" if model in ("ViT-L/16", "ViT-H/14") else "7"
      run = _pretraining(model, data, jft_epochs if data == _JFT else "90")
      runs.append(run)
      for row in grid.rows:
        number = _score(results, run, row[1], _FINETUNED_PX)
        if row[0] == data and number:
          ours[row, model] = number
  sweeps = (run.finetune("usual") for run in runs if not run.blocked)
  commands = (*pages.launches(runs, results), *sweeps)
  return [pages.page(grid, ours, (), runs, commands)]


def table_6(results: Results) -> list[Page]:
  """Eighteen models on JFT: transfer, and exaFLOPs, which are computed."""
  grid = paper.grids()["table6"]
  ours: dict[Place, Number] = {}
  for row in grid.rows:
    model, epochs = row
    source = f"computed:exaflops {model} {epochs}"
    value = costs.exaflops(model, int(epochs))
    ours[row, "exaFLOPs"] = Number(round(value, 1), source)
  runs = [launch.jft(model, epochs) for model, epochs in grid.rows]
  notes = (
    "exaFLOPs: epochs x 303 million images x 3 x 2 x multiply-adds at 224 px."
    " The paper rounds them; its R50x1+ViT-L/16 with 7 epochs is not half of"
    " that with 14, and ours agrees with the latter.",
  )
  return [pages.page(grid, ours, notes, runs, pages.launches(runs, results))]


def table_7(results: Results) -> list[Page]:
  """ResNets pre-trained with Adam and with SGD."""
  runs = {}
  for column in paper.grids()["table7"].columns:
    name, optim = column.split()
    model = "ResNet50x1" if name == "ResNet50" else name
    optim = {"Adam": "adamw", "SGD": "sgd"}[optim]
    runs[column] = launch.jft(model, "7", optim)
  note = "SGD: BiT's settings (arXiv:1912.11370), as in configs/bit_i21k.py."
  return _transfer_page(results, "table7", runs, notes=(note,))


def table_8(results: Results) -> list[Page]:
  """Position embeddings."""
  grid = paper.grids()["table8"]
  note = (
    "Not reproducible: the paper does not say what the models were pre-trained"
    " on, nor for how long. The same comparison on ImageNet-21k:"
  )
  return [ablation_page(grid, ablations.positions(grid), results, note)]


def ablation_page(
  grid: Grid,
  runs: Mapping[Place, ablations.Ablation],
  results: Results,
  note: str,
) -> Page:
  """A table of 5-shot accuracies, and the commands of its runs."""
  ours = ablations.scores(runs, results.few_shot, grid.unit)
  commands = tuple(run.command() for run in runs.values())
  return pages.page(grid, ours, (note,), (), commands)


def table_9(results: Results) -> list[Page]:
  """The 19 tasks of VTAB."""
  public = launch.imagenet21k("ViT-L/16")
  return _transfer_page(
    results,
    "table9",
    {
      "ViT-H/14 (JFT)": launch.jft("ViT-H/14", "14"),
      "ViT-L/16 (JFT)": launch.jft("ViT-L/16", "14"),
      "ViT-L/16 (I21k)": public,
    },
    data=lambda row: f"VTAB {row}",
    sweeps=(public.finetune("vtab"),),
  )


# fmt: off
TABLES = {
  1: table_1, 2: table_2, 3: table_3, 4: table_4, 5: table_5, 6: table_6,
  7: table_7, 8: table_8, 9: table_9,
}
# fmt: on
