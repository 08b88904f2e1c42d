"""Runs of the paper's ablations, on a public data set.

Table 8 and Figures 4, 8, 9 and 13 judge a pre-training by its 5-shot accuracy
on ImageNet. ImageNet-21k takes the place of JFT-300M; see `fewshot`.
"""

from collections.abc import Mapping
import dataclasses
import json
import pathlib

from vit_jax.reproduce import launch, pages
from vit_jax.reproduce.paper import Grid, Number, Place, Row

FILE = pathlib.Path(__file__).with_name("ablations.json")


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


def runs(name: str) -> dict[Place, Ablation]:
  """The runs of a table or figure, such as "table8", by their places in it."""
  places = {}
  for fields in json.loads(FILE.read_text())[name]:
    place = (fields.pop("row"),), fields.pop("column")
    places[place] = Ablation(**fields)
  return places


def page(
  results: pages.Results,
  grid: Grid,
  others: pages.Numbers = lambda row, column: None,
) -> pages.Page:
  """A table of 5-shot accuracies in its unit, and the commands of its runs.

  `others` gives the numbers that are no accuracies.
  """
  factor = 1 if grid.unit == "fraction" else 100
  by_place = runs(grid.name)

  def ours(row: Row, column: str) -> Number | None:
    run = by_place.get((row, column))
    score = results.few_shot.get(run.name) if run else None
    if not score:
      return others(row, column)
    return Number(factor * float(score.value), score.source)

  commands = [run.command() for run in by_place.values()]
  return pages.page(results, grid, ours, commands=commands)
