"""The numbers that the paper prints, each with its source."""

from collections.abc import Mapping
import dataclasses
import functools
import json
import pathlib
from typing import Any

FILE = pathlib.Path(__file__).with_name("paper.json")
Value = float | int | str
# A row's name, of one or several parts.
Row = tuple[str, ...]
# A row's name and a column's name.
Place = tuple[Row, str]


@dataclasses.dataclass(frozen=True)
class Number:
  """A value and where it comes from.

  Attributes:
    value: a number, or text where the paper prints text.
    source: "paper:GRID" (a table of `paper.json`), "derived:RULE",
      "computed:CALL", "config:PATH", "run:FOLDERS" or "file:PATH".
    deviation: standard deviation over runs; None if it is not known.
  """

  value: Value
  source: str
  deviation: float | None = None


@dataclasses.dataclass(frozen=True)
class Grid:
  """A table of the paper, or the values that a figure shows.

  Attributes:
    name: such as "table5".
    title: its heading.
    sources: keys of `sources()`.
    unit: unit of all values; "" if the columns have different units.
    header: what each part of a row's name means.
    columns: names of the columns.
    rows: names of the rows, each of as many parts as the header.
    values, deviations: [rows][columns]; None where the paper prints nothing.
    notes: paragraphs for the reader.
    runs: model, data, epochs and optimiser of the pre-training of a column, see
      `launch.Pretraining`, where each column has one.
  """

  name: str
  title: str
  sources: tuple[str, ...]
  unit: str
  header: tuple[str, ...]
  columns: tuple[str, ...]
  rows: tuple[Row, ...]
  values: tuple[tuple[Value | None, ...], ...]
  deviations: tuple[tuple[float | None, ...], ...]
  notes: tuple[str, ...]
  runs: Mapping[str, list[str]]

  def number(self, row: Row, column: str) -> Number | None:
    """The value at a place, or None where the paper prints none."""
    i, j = self.rows.index(row), self.columns.index(column)
    value = self.values[i][j]
    if value is None:
      return None
    kind = "derived" if self.sources == ("derived",) else "paper"
    return Number(value, f"{kind}:{self.name}", self.deviations[i][j])


@functools.cache
def grids() -> Mapping[str, Grid]:
  """Every table and figure by name."""
  return parse(json.loads(FILE.read_text()))


@functools.cache
def sources() -> Mapping[str, str]:
  """A description of each source, with its address, by name."""
  return {
    name: f"{source['what']} ({source['address']})".replace(" ()", "")
    for name, source in json.loads(FILE.read_text())["sources"].items()
  }


def parse(content: Mapping[str, Any]) -> dict[str, Grid]:
  """The grids in the content of the file, by name."""
  return {
    name: Grid(
      name=name,
      title=fields["title"],
      sources=tuple(fields["source"]),
      unit=fields["unit"],
      header=tuple(fields["header"]),
      columns=tuple(fields["columns"]),
      rows=tuple(tuple(row["row"]) for row in fields["rows"]),
      values=tuple(tuple(row["values"]) for row in fields["rows"]),
      deviations=tuple(
        tuple(row.get("std", [None] * len(fields["columns"])))
        for row in fields["rows"]
      ),
      notes=tuple(fields.get("notes", ())),
      runs=fields.get("runs", {}),
    )
    for name, fields in content["grids"].items()
  }
