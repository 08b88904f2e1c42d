"""The paper's numbers, each with its source; what it never printed is empty."""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
import json
import pathlib
from typing import Any

FILE = pathlib.Path(__file__).with_name("paper.json")
Value = float | int | str


@dataclasses.dataclass(frozen=True)
class Number:
  """A number and where it is from.

  Attributes:
    value: of it.
    source: "paper:GRID" of this file, "derived:RULE", "computed:CALL",
      "config:PATH", "run:FOLDERS" or "file:PATH".
    deviation: over runs; None where there is none.
  """

  value: Value
  source: str
  deviation: float | None = None


@dataclasses.dataclass(frozen=True)
class Grid:
  """A table of the paper, or what a figure would show.

  Attributes:
    name: such as "table5".
    title: of it.
    sources: keys of `SOURCES`.
    unit: of its values; "" for several.
    header: what the parts of a row's name are.
    columns: names of the columns.
    rows: names of the rows.
    values, deviations: [rows][columns]; None is not printed.
    note: what else has to be known.
  """

  name: str
  title: str
  sources: tuple[str, ...]
  unit: str
  header: tuple[str, ...]
  columns: tuple[str, ...]
  rows: tuple[tuple[str, ...], ...]
  values: tuple[tuple[Value | None, ...], ...]
  deviations: tuple[tuple[float | None, ...], ...]
  note: str

  def number(self, row: tuple[str, ...], column: str) -> Number | None:
    """A value with its source, or None where the paper prints none."""
    i, j = self.rows.index(row), self.columns.index(column)
    value = self.values[i][j]
    if value is None:
      return None
    kind = "derived" if self.sources == ("derived",) else "paper"
    return Number(value, f"{kind}:{self.name}", self.deviations[i][j])


@functools.cache
def grids() -> Mapping[str, Grid]:
  """Every table and figure by name, checked."""
  return dict(_parse(json.loads(FILE.read_text())))


@functools.cache
def sources() -> Mapping[str, str]:
  """What each source is."""
  found = json.loads(FILE.read_text())["sources"]
  return {
    name: f"{of['what']} ({of['address']})".replace(" ()", "")
    for name, of in found.items()
  }


def _parse(content: Mapping[str, Any]) -> Iterator[tuple[str, Grid]]:
  """Grids of the file's content.

  Raises:
    ValueError: a source that is not named, rows of another length than the
      header, two rows of one name, or a value that cannot be.
  """
  for name, fields in content["grids"].items():
    rows = fields["rows"]
    columns = tuple(fields["columns"])
    grid = Grid(
      name=name,
      title=fields["title"],
      sources=tuple(fields["source"]),
      unit=fields["unit"],
      header=tuple(fields["header"]),
      columns=columns,
      rows=tuple(tuple(row["row"]) for row in rows),
      values=tuple(tuple(row["values"]) for row in rows),
      deviations=tuple(
        tuple(row.get("std", [None] * len(columns))) for row in rows
      ),
      note=fields.get("note", ""),
    )
    for problem in _problems(grid, content["sources"]):
      raise ValueError(f"{FILE.name}, {name}: {problem}")
    yield name, grid


def _problems(grid: Grid, known: Mapping[str, Any]) -> Iterator[str]:
  if unknown := set(grid.sources) - set(known) or not grid.sources:
    yield f"unknown sources {unknown}"
  for row in grid.rows:
    if len(row) != len(grid.header):
      yield f"{row} has {len(row)} names, not {len(grid.header)}"
  if len({*grid.rows}) != len(grid.rows):
    yield "two rows have one name"
  for values in (*grid.values, *grid.deviations):
    if len(values) != len(grid.columns):
      yield f"{len(values)} values, not {len(grid.columns)}"
  for row, values in zip(grid.rows, grid.values, strict=True):
    for column, value in zip(grid.columns, values, strict=True):
      percent = grid.unit == "%" and column != "exaFLOPs"
      number = isinstance(value, int | float) and "days" not in row[0]
      if percent and number and not 0 <= value <= 100:
        yield f"{row}, {column}: {value} is no percentage"
