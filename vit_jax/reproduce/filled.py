"""Grids of the paper with our numbers in their places."""

from collections.abc import Mapping
import dataclasses
import re

from vit_jax.reproduce import ablations, kept
from vit_jax.reproduce.ablations import Place
from vit_jax.reproduce.finished import Finished
from vit_jax.reproduce.launch import Pretraining
from vit_jax.reproduce.pages import Cell, Page, from_grid
from vit_jax.reproduce.paper import Grid, Number


@dataclasses.dataclass(frozen=True)
class Known:
  """What tables are filled from.

  Attributes:
    finished: fine-tuned runs.
    few_shot: 5-shot accuracies of ablations by name, see `finished`.
    kept: what was computed before, see `kept`.
    kept_file: where that is.
  """

  finished: Finished
  few_shot: Mapping[str, Number]
  kept: kept.Rows
  kept_file: str


def page(
  grid: Grid,
  ours: Mapping[Place, Number],
  notes: tuple[str, ...] = (),
  runs: tuple[Pretraining, ...] = (),
  commands: tuple[str, ...] = (),
) -> Page:
  """A grid of the paper with our numbers in their places."""
  cells = from_grid(grid)
  for place, number in ours.items():
    cells[place] = Cell(cells[place].paper, number)
  note = (grid.note,) if grid.note else ()
  return Page(
    name=grid.name,
    title=f"{titled(grid.name)}: {grid.title}",
    header=grid.header,
    columns=grid.columns,
    rows=grid.rows,
    cells=tuple(tuple(cells[r, c] for c in grid.columns) for r in grid.rows),
    notes=(*note, *notes, *blocked(runs)),
    commands=commands,
    runs=tuple(dict.fromkeys(runs)),
  )


def titled(name: str) -> str:
  """ "Table 5" of "table5"."""
  return re.sub(r"([a-z])(\d)", r"\1 \2", name).capitalize()


def blocked(runs: tuple[Pretraining, ...]) -> list[str]:
  """Why runs cannot be reproduced in public, a line for each reason."""
  why: dict[str, list[str]] = {}
  for run in runs:
    if run.blocked:
      why.setdefault(run.blocked, []).append(run.model)
  return [
    f"Not reproducible: {reason} ({', '.join(dict.fromkeys(names))})."
    for reason, names in why.items()
  ]


def launches(runs: tuple[Pretraining, ...], known: Known) -> list[str]:
  """The launch command of each run, and what it costs at least."""
  lines = []
  for run in dict.fromkeys(runs):
    if not run.config:
      continue
    days = kept.core_days(known.kept, run)
    cost = f"at least {days:,g} core-days" if days else "core-days not computed"
    lines.append(f"# {run.model}, {run.data}, on {run.slice}: {cost}")
    off = f"# {run.blocked}: " if run.blocked else ""
    lines.append(off + run.command())
  return lines


def ablated(
  grid: Grid, runs: Mapping[Place, ablations.Ablation], known: Known, note: str
) -> Page:
  """A grid of 5-shot accuracies, and the commands of its runs."""
  ours = ablations.scores(runs, known.few_shot, grid.unit)
  commands = tuple(run.command() for run in runs.values())
  return page(grid, ours, (note,), (), commands)
