"""Tables as they are shown: the paper's number, ours, and the difference."""

from collections.abc import Callable, Iterable, Iterator, Mapping
import dataclasses
import re
from typing import Any

from vit_jax.reproduce import computed
from vit_jax.reproduce.launch import Pretraining
from vit_jax.reproduce.paper import Grid, Number, Place, Row
from vit_jax.reproduce.run_scores import FineTuned
from vit_jax.sweeps import collect

# Gives the number at a row and a column, or None.
Numbers = Callable[[Row, str], Number | None]


@dataclasses.dataclass(frozen=True)
class Results:
  """The results that tables are filled from.

  Attributes:
    fine_tuned: accuracies of fine-tuned runs.
    few_shot: 5-shot accuracies of pre-training runs, by name of the run.
    computed: rows of `computed_file`.
    computed_file: where computed numbers are saved, see `computed`.
  """

  fine_tuned: FineTuned
  few_shot: Mapping[str, Number]
  computed: computed.Rows
  computed_file: str


@dataclasses.dataclass(frozen=True)
class Cell:
  """One place of a table.

  Attributes:
    paper: what the paper prints; None where it prints nothing.
    ours: our number; None where nothing has run.
  """

  paper: Number | None = None
  ours: Number | None = None

  @property
  def difference(self) -> float | None:
    """Ours minus the paper's, where both are numbers."""
    if not self.paper or not self.ours:
      return None
    a, b = self.ours.value, self.paper.value
    if isinstance(a, str) or isinstance(b, str):
      return None
    return a - b


@dataclasses.dataclass(frozen=True)
class Page:
  """A table with the paper's numbers and ours.

  Attributes:
    name: name of its files, such as "table5".
    title: its heading.
    header: what each part of a row's name means.
    columns: names of the columns.
    rows: names of the rows.
    cells: [rows][columns].
    notes: paragraphs below the table.
    commands: shell commands that produce the missing numbers.
    runs: the pre-training runs among them.
  """

  name: str
  title: str
  header: tuple[str, ...]
  columns: tuple[str, ...]
  rows: tuple[tuple[str, ...], ...]
  cells: tuple[tuple[Cell, ...], ...]
  notes: tuple[str, ...] = ()
  commands: tuple[str, ...] = ()
  runs: tuple[Pretraining, ...] = ()

  def places(self) -> Iterator[tuple[Place, Cell]]:
    """Every cell with its row and column."""
    for row, cells in zip(self.rows, self.cells, strict=True):
      for column, cell in zip(self.columns, cells, strict=True):
        yield (row, column), cell


def page(
  results: Results,
  grid: Grid,
  ours: Numbers = lambda row, column: None,
  *,
  printed: Numbers | None = None,
  runs: Iterable[Pretraining] = (),
  commands: Iterable[str] = (),
) -> Page:
  """A table of the paper with our numbers in their places.

  Args:
    results: the results, for what the runs cost.
    grid: the table.
    ours: gives our numbers.
    printed: gives the paper's numbers; by default those of the grid.
    runs: the pre-training runs that the numbers are from.
    commands: commands that follow those that launch these runs.
  """
  runs = tuple(dict.fromkeys(runs))
  number = printed or grid.number
  return Page(
    name=grid.name,
    title=f"{heading(grid.name)}: {grid.title}",
    header=grid.header,
    columns=grid.columns,
    rows=grid.rows,
    cells=tuple(
      tuple(Cell(number(r, c), ours(r, c)) for c in grid.columns)
      for r in grid.rows
    ),
    notes=(*grid.notes, *_blocked(runs)),
    commands=(*_launches(runs, results), *commands),
    runs=runs,
  )


def heading(name: str) -> str:
  """ "Table 5" for "table5"."""
  return re.sub(r"([a-z])(\d)", r"\1 \2", name).capitalize()


def _blocked(runs: tuple[Pretraining, ...]) -> list[str]:
  """Why runs cannot be reproduced in public, a line for each reason."""
  models: dict[str, list[str]] = {}
  for run in runs:
    if run.blocked:
      models.setdefault(run.blocked, []).append(run.model)
  return [
    f"Not reproducible: {reason} ({', '.join(dict.fromkeys(names))})."
    for reason, names in models.items()
  ]


def _launches(runs: tuple[Pretraining, ...], results: Results) -> Iterator[str]:
  """The launch command of each run, and the least that the run costs."""
  for run in runs:
    if not run.config:
      continue
    days = computed.core_days(results.computed, run)
    cost = f"at least {days:,g} core-days" if days else "core-days not computed"
    yield f"# {run.model}, {run.data}, on {run.slice}: {cost}"
    yield (f"# {run.blocked}: " if run.blocked else "") + run.command()


def text(page: Page) -> str:
  """The page in Markdown."""
  rows = zip(page.rows, page.cells, strict=True)
  parts = [
    f"## {page.title}",
    collect.markdown_table(
      (*page.header, *page.columns),
      [(*row, *map(cell_text, cells)) for row, cells in rows],
    ),
    *page.notes,
  ]
  if page.commands:
    parts.append("\n".join(("```sh", *page.commands, "```")))
  return "\n\n".join(parts) + "\n"


def cell_text(cell: Cell) -> str:
  """ "paper → ours (difference)", without the parts that are not known."""
  if not cell.ours:
    return number_text(cell.paper) if cell.paper else ""
  ours = number_text(cell.ours)
  if not cell.paper:
    return f"→ {ours}"
  difference = cell.difference
  if difference is None:
    return f"{number_text(cell.paper)} → {ours}"
  shown = f"{difference:+.2g}" if difference else "0"
  return f"{number_text(cell.paper)} → {ours} ({shown})"


def number_text(number: Number) -> str:
  """A value with its deviation; floats with five significant digits."""
  value = number.value
  if isinstance(value, str):
    return value
  shown = f"{value if isinstance(value, int) else float(f'{value:.5g}'):,}"
  if number.deviation is None:
    return shown
  return f"{shown} ± {number.deviation:.2g}"


def record(page: Page) -> dict[str, Any]:
  """The page as JSON for programs: every number with its source."""
  return {
    "name": page.name,
    "title": page.title,
    "notes": list(page.notes),
    "commands": list(page.commands),
    "cells": [
      {
        "row": dict(zip(page.header, row, strict=True)),
        "column": column,
        **dataclasses.asdict(cell),
        "difference": cell.difference,
      }
      for (row, column), cell in page.places()
    ],
  }
