"""Runs that have finished, as the paper's tables name them."""

from collections.abc import Iterable, Iterator, Mapping
import json
import pathlib
import statistics
from typing import Any, NamedTuple

from vit_jax.analysis import run_files
from vit_jax.core import errors
from vit_jax.data import vtab
from vit_jax.models import bit, hybrid, vit
from vit_jax.reproduce import paper
from vit_jax.reproduce.paper import Number

# TFDS's names of the data sets of Section 4.1, and of VTAB's tasks.
DATA = {
  "tfds:imagenet2012": "ImageNet",
  "tfds:imagenet21k": "ImageNet-21k",
  "tfds:cifar10": "CIFAR-10",
  "tfds:cifar100": "CIFAR-100",
  "tfds:oxford_iiit_pet": "Pets",
  "tfds:oxford_flowers102": "Flowers",
}
_PLACES = ("*", "*/*", "*/runs/*", "*/*/runs/*")
_EVALUATOR = {"test": "", "real": " ReaL"}


class Kind(NamedTuple):
  """What runs that differ in their seeds alone have in common.

  Attributes:
    model: as the paper writes it.
    pretrained: data set that it was trained on before; "" for none.
    epochs: of that training.
    optimizer: of that training.
    data: what it was trained on and scored on.
    size_px: of its images.
    task: of the training before.
  """

  model: str
  pretrained: str
  epochs: str
  optimizer: str
  data: str
  size_px: int
  task: str = "supervised"


Finished = Mapping[Kind, Number]


def find(folder: str) -> Finished:
  """Mean accuracy in percent of every kind of fine-tuned run below a folder.

  Runs whose pre-training cannot be told from their files are left out.
  """
  found: dict[Kind, list[tuple[float, str]]] = {}
  for home in _homes(pathlib.Path(folder)):
    for kind, score in _scores(home):
      found.setdefault(kind, []).append((100 * score, str(home)))
  return {kind: _mean(values) for kind, values in found.items()}


def few_shot(folder: str) -> Mapping[str, Number]:
  """5-shot accuracy on ImageNet by the name of the run, as a fraction.

  The best of those in training, as Figure 4 takes it; with one evaluation the
  last.
  """
  found = {}
  for home in _homes(pathlib.Path(folder)):
    run = _read(home)
    scores = [
      row["5_shot"]
      for row in (run.evals if run else ())
      if row["name"] == "imagenet" and "5_shot" in row
    ]
    if scores:
      found[home.name] = Number(max(scores), f"run:{home}")
  return found


def _mean(values: list[tuple[float, str]]) -> Number:
  scores = [score for score, _ in values]
  deviation = statistics.stdev(scores) if len(scores) > 1 else None
  source = "run:" + " ".join(sorted(home for _, home in values))
  return Number(statistics.fmean(scores), source, deviation)


def _homes(folder: pathlib.Path) -> Iterable[pathlib.Path]:
  files = {f for place in _PLACES for f in folder.glob(f"{place}/evals.jsonl")}
  return sorted(f.parent for f in files if (f.parent / "config.json").exists())


def _scores(home: pathlib.Path) -> Iterator[tuple[Kind, float]]:
  """Accuracies of a run that has a place in a table."""
  run = _read(home)
  if run is None:
    return
  start = run.config["start.checkpoint"]
  before = pathlib.Path(start) / "config.json"
  if not start or not before.exists():
    return
  earlier = json.loads(before.read_text())
  data = run.config["data.train.name"]
  for name, suffix in _EVALUATOR.items():
    if "top_1" in run.last_scores.get(name, {}):
      kind = Kind(
        model=label(run.config),
        pretrained=_name(earlier["data"]["train"]["name"]),
        epochs=str(earlier["duration"]).removesuffix(" epochs"),
        optimizer=earlier["optim"]["name"],
        data=_name(data) + suffix,
        size_px=run.config["model.image_size"][0],
        task=earlier["task"]["name"],
      )
      yield kind, run.last_scores[name]["top_1"]


def _read(home: pathlib.Path) -> run_files.RunFiles | None:
  """None of a run that has not begun or is damaged: nothing is known of it."""
  try:
    return run_files.read(str(home))
  except errors.UserError:
    return None


def _name(data: str) -> str:
  """The paper's name of a data set, or its own where the paper has none."""
  task = data.removeprefix("vtab:")
  if task != data and task in vtab.TASKS:
    rows = paper.grids()["table9"].rows
    return f"VTAB {rows[list(vtab.TASKS).index(task)][0]}"
  return DATA.get(data, data)


def label(config: Mapping[str, Any]) -> str:
  """The paper's name of a model, or "" where it has none.

  Args:
    config: of a run, by dotted paths.
  """
  family = config["model.name"]
  if family == "vit":
    side = config["model.patch_size"][0]
    return _first(
      config, {f"ViT-{k}/{side}": v for k, v in vit.VARIANTS.items()}
    )
  if family == "hybrid":
    names = {
      f"R50x1+ViT-{k.removeprefix('R50+')}": v
      for k, v in hybrid.VARIANTS.items()
      if k.startswith("R50+")
    }
    return _first(config, names)
  if family == "bit":
    names = {f"ResNet{k[1:]}": v for k, v in bit.VARIANTS.items()}
    return _first(config, names)
  return ""


def _first(
  config: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]]
) -> str:
  def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

  for name, fields in variants.items():
    if all(config[f"model.{k}"] == plain(v) for k, v in fields.items()):
      return name
  return ""
