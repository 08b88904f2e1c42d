"""A score against the first setting that is a number, one line for the rest."""

import statistics
from typing import Any

from vit_jax.sweeps import collect


def draw(rows: "list[collect.Row]", metric: str, file: str) -> bool:
  """Writes a PNG; False where no setting is a number with several values."""
  # Not at the top: it takes a second, and only this needs it.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  rows = [row for row in rows if metric in row.scores]
  x = _axis(rows)
  if not x:
    return False
  lines: dict[str, list[collect.Row]] = {}
  for row in rows:
    rest = {k: v for k, v in row.setting.items() if k != x}
    name = ", ".join(f"{k.rsplit('.', 1)[-1]}={v}" for k, v in rest.items())
    lines.setdefault(name + (" (final)" if row.final else ""), []).append(row)
  figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
  axes = figure.subplots()
  for name, mine in lines.items():
    mine = sorted(mine, key=lambda row: row.setting[x])
    values = [row.scores[metric] for row in mine]
    axes.errorbar(
      [row.setting[x] for row in mine],
      [statistics.fmean(v) for v in values],
      [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values],
      marker="o",
      capsize=3,
      linestyle="none" if name.endswith("(final)") else "-",
      label=name or None,
    )
  numbers = sorted({row.setting[x] for row in rows})
  if numbers[0] > 0 and numbers[-1] / numbers[0] >= 8:
    axes.set_xscale("log")
  axes.set_xlabel(x.removeprefix(":"))
  axes.set_ylabel(metric)
  axes.grid(alpha=0.3)
  if any(lines) and len(lines) <= 12:
    axes.legend(fontsize="small")
  # Without the time and version that make equal pictures differ.
  FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
  return True


def _axis(rows: "list[collect.Row]") -> str:
  """The first setting that every row has as a number, with several values."""
  for key in rows[0].setting if rows else ():
    values: list[Any] = [row.setting.get(key) for row in rows]
    if all(isinstance(v, int | float) for v in values) and len({*values}) > 1:
      return key
  return ""
