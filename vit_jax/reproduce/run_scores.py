"""Scores of finished runs, by the names that the paper's tables use."""

from collections.abc import Iterator, Mapping
import contextlib
import json
import pathlib
import statistics
from typing import Any, NamedTuple

from vit_jax.analysis import run_files
from vit_jax.core import errors
from vit_jax.data.sources import vtab
from vit_jax.models import bit, hybrid, vit
from vit_jax.reproduce import paper
from vit_jax.reproduce.paper import Number

# The paper's names of the data sets of Section 4.1.
DATA = {
  "tfds:imagenet2012": "ImageNet",
  "tfds:imagenet21k": "ImageNet-21k",
  "tfds:cifar10": "CIFAR-10",
  "tfds:cifar100": "CIFAR-100",
  "tfds:oxford_iiit_pet": "Pets",
  "tfds:oxford_flowers102": "Flowers",
}
# Where workdirs are below the folder: on their own, or as runs of a sweep.
_WORKDIRS = ("*", "*/*", "*/runs/*", "*/*/runs/*")
# What the names of a score's evaluator add to the name of the data set.
_EVALUATORS = {"test": "", "real": " ReaL"}


class Transfer(NamedTuple):
  """A pre-training and a fine-tuning; runs of one kind differ in their seeds.

  Attributes:
    model: as the paper writes it.
    pretrained: data set of the pre-training.
    epochs: length of the pre-training.
    optimizer: optimiser of the pre-training.
    data: data set of the fine-tuning and of the score.
    size_px: height of the images in the fine-tuning.
    task: task of the pre-training.
  """

  model: str
  pretrained: str
  epochs: str
  optimizer: str
  data: str
  size_px: int
  task: str = "supervised"


FineTuned = Mapping[Transfer, Number]


def fine_tuned(folder: str) -> FineTuned:
  """Mean accuracy in percent of the fine-tuned runs below a folder.

  Runs whose files do not tell how they were pre-trained are left out.
  """
  scores: dict[Transfer, list[tuple[float, str]]] = {}
  for home, run in _runs(folder):
    for transfer, score in _scores(run):
      scores.setdefault(transfer, []).append((100 * score, str(home)))
  return {transfer: _mean(values) for transfer, values in scores.items()}


def few_shot(folder: str) -> Mapping[str, Number]:
  """5-shot accuracy on ImageNet by name of the run, as a fraction.

  It is the best of the accuracies during training, as in Figure 4.
  """
  best = {}
  for home, run in _runs(folder):
    scores = [
      row["5_shot"]
      for row in run.evals
      if row["name"] == "imagenet" and "5_shot" in row
    ]
    if scores:
      best[home.name] = Number(max(scores), f"run:{home}")
  return best


def _mean(values: list[tuple[float, str]]) -> Number:
  scores = [score for score, _ in values]
  deviation = statistics.stdev(scores) if len(scores) > 1 else None
  source = "run:" + " ".join(sorted(home for _, home in values))
  return Number(statistics.fmean(scores), source, deviation)


def _runs(folder: str) -> Iterator[tuple[pathlib.Path, run_files.RunFiles]]:
  """Workdirs below a folder, without those that are damaged or just begun."""
  root = pathlib.Path(folder)
  homes = {
    file.parent
    for pattern in _WORKDIRS
    for file in root.glob(f"{pattern}/evals.jsonl")
  }
  for home in sorted(homes):
    with contextlib.suppress(errors.UserError):
      yield home, run_files.read(str(home))


def _scores(run: run_files.RunFiles) -> Iterator[tuple[Transfer, float]]:
  """Accuracies of a run that was fine-tuned from another run."""
  start = run.config["start.checkpoint"]
  file = pathlib.Path(start) / "config.json"
  if not start or not file.exists():
    return
  before = json.loads(file.read_text())
  for name, suffix in _EVALUATORS.items():
    if "top_1" in run.last_scores.get(name, {}):
      transfer = Transfer(
        model=label(run.config),
        pretrained=_name(before["data"]["train"]["name"]),
        epochs=str(before["duration"]).removesuffix(" epochs"),
        optimizer=before["optim"]["name"],
        data=_name(run.config["data.train.name"]) + suffix,
        size_px=run.config["model.image_size"][0],
        task=before["task"]["name"],
      )
      yield transfer, run.last_scores[name]["top_1"]


def _name(data: str) -> str:
  """The paper's name of a data set, or `data` if the paper has none."""
  task = data.removeprefix("vtab:")
  if task != data and task in vtab.TASKS:
    rows = paper.grids()["table9"].rows
    return f"VTAB {rows[list(vtab.TASKS).index(task)][0]}"
  return DATA.get(data, data)


def label(config: Mapping[str, Any]) -> str:
  """The paper's name of a model, or "" if the paper has none.

  Args:
    config: the config of a run, by dotted paths.
  """
  family = config["model.name"]
  variants: dict[str, Mapping[str, Any]] = {}
  if family == "vit":
    side = config["model.patch_size"][0]
    variants = {f"ViT-{k}/{side}": v for k, v in vit.VARIANTS.items()}
  elif family == "hybrid":
    variants = {
      f"R50x1+ViT-{k.removeprefix('R50+')}": v
      for k, v in hybrid.VARIANTS.items()
      if k.startswith("R50+")
    }
  elif family == "bit":
    variants = {f"ResNet{k[1:]}": v for k, v in bit.VARIANTS.items()}

  def has(field: str, value: Any) -> bool:
    # JSON has lists where configs have tuples.
    same = list(value) if isinstance(value, tuple) else value
    return config[f"model.{field}"] == same

  for name, fields in variants.items():
    if all(has(field, value) for field, value in fields.items()):
      return name
  return ""
