"""A table as it is printed: the paper's number, ours, and the difference."""

from collections.abc import Iterator
import dataclasses
from typing import Any

from vit_jax.reproduce.launch import Pretraining
from vit_jax.reproduce.paper import Grid, Number


@dataclasses.dataclass(frozen=True)
class Cell:
  """One place of a table.

  Attributes:
    paper: what the paper prints; None where it prints nothing.
    ours: what is known here; None where nothing has run.
  """

  paper: Number | None = None
  ours: Number | None = None

  @property
  def difference(self) -> float | None:
    """Ours less the paper's, where both are numbers."""
    if not self.paper or not self.ours:
      return None
    a, b = self.ours.value, self.paper.value
    if isinstance(a, str) or isinstance(b, str):
      return None
    return a - b


@dataclasses.dataclass(frozen=True)
class Page:
  """A table.

  Attributes:
    name, title: of it.
    header: what the parts of a row's name are.
    columns: names of the columns.
    rows: names of the rows.
    cells: [rows][columns].
    notes: what else has to be known.
    commands: that run what is not there yet.
    runs: those of them that others start from.
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

  def numbers(self) -> Iterator[tuple[tuple[str, ...], str, Number]]:
    """Every number that is printed, with its row and column."""
    for row, cells in zip(self.rows, self.cells, strict=True):
      for column, cell in zip(self.columns, cells, strict=True):
        for number in (cell.paper, cell.ours):
          if number:
            yield row, column, number


def from_grid(grid: Grid) -> dict[tuple[tuple[str, ...], str], Cell]:
  """The paper's cells by row and column."""
  return {
    (row, column): Cell(grid.number(row, column))
    for row in grid.rows
    for column in grid.columns
  }


def text(page: Page) -> str:
  """The page in Markdown."""
  lines = [[*page.header, *page.columns]]
  lines.append(["---"] * len(lines[0]))
  for row, cells in zip(page.rows, page.cells, strict=True):
    lines.append([*row, *map(cell_text, cells)])
  parts = [
    f"## {page.title}",
    "\n".join(f"| {' | '.join(line)} |" for line in lines),
    *page.notes,
  ]
  if page.commands:
    parts.append("\n".join(("```sh", *page.commands, "```")))
  return "\n\n".join(parts) + "\n"


def cell_text(cell: Cell) -> str:
  """ "paper → ours (difference)"; what is not known is left out."""
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
  """A value as it is printed, with its deviation."""
  if isinstance(number.value, str):
    return number.value
  shown = f"{_short(number.value):,}"
  if number.deviation is None:
    return shown
  return f"{shown} ± {number.deviation:.2g}"


def _short(value: float) -> float | int:
  """Five digits of what is no whole number."""
  rounded = float(f"{value:.5g}")
  return value if isinstance(value, int) else rounded


def record(page: Page) -> dict[str, Any]:
  """The page for programs: every number with its source."""
  return {
    "name": page.name,
    "title": page.title,
    "notes": list(page.notes),
    "commands": list(page.commands),
    "cells": [
      {
        "row": dict(zip(page.header, row, strict=True)),
        "column": column,
        "paper": _fields(cell.paper),
        "ours": _fields(cell.ours),
        "difference": cell.difference,
      }
      for row, cells in zip(page.rows, page.cells, strict=True)
      for column, cell in zip(page.columns, cells, strict=True)
    ],
  }


def _fields(number: Number | None) -> dict[str, Any] | None:
  return dataclasses.asdict(number) if number else None
