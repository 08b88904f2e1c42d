"""Results of a sweep: all runs in CSV, means over seeds in Markdown."""

from collections.abc import Iterable
import csv
import dataclasses
import io
import pathlib
import statistics
from typing import Any

from vit_jax.core import errors, files, owners
from vit_jax.evals import vtab
from vit_jax.sweeps import state as state_lib, sweep as sweep_lib

_SEEDS = ("seed", ":seed")
_TITLES: dict[sweep_lib.Stage, str] = {
  "final": "Final runs",
  "first": "Runs",
  "start": "Runs that others start from",
}
# The table's first columns.
_FIRST = "run,stage,state"
_VTAB = "vtab:"
# x, means and standard deviations of the points of a plot's lines, by name.
Lines = dict[str, tuple[list[float], list[float], list[float]]]


@dataclasses.dataclass(frozen=True)
class Row:
  """Runs that differ in their seeds alone.

  Attributes:
    stage: which part of the sweep they belong to.
    setting: the setting that they share.
    scores: values by "EVALUATOR/SCORE", one for each seed.
  """

  stage: sweep_lib.Stage
  setting: dict[str, Any]
  scores: dict[str, list[float]]


def collect(sweep: sweep_lib.Sweep, workdir: str) -> list[Row]:
  """Writes results.csv and results.md; returns the rows of the latter.

  The files do not depend on the order in which the runs ran, nor on how often
  they were interrupted.

  Raises:
    ConfigError: no run is done.
  """
  known = state_lib.statuses(sweep, workdir)
  if not any(status.state == "done" for _, status in known):
    raise errors.ConfigError(
      f"workdir={workdir}: no run is done; `sweep run` comes first"
    )
  rows = _over_seeds(known)
  home = pathlib.Path(workdir)
  owners.check_file(
    "workdir",
    home / "results.csv",
    lambda head: head.startswith(_FIRST.encode()),
    "a table of a sweep",
  )
  files.write(home / "results.csv", _csv(known))
  files.write(home / "results.md", _markdown(sweep, known, rows))
  return rows


def _over_seeds(known: state_lib.Statuses) -> list[Row]:
  """The runs that are done, grouped over seeds, in the order of the sweep."""
  rows: dict[str, Row] = {}
  for run, status in known:
    if status.state != "done":
      continue
    setting = {k: v for k, v in run.setting.items() if k not in _SEEDS}
    key = str((run.stage, setting))
    row = rows.setdefault(key, Row(run.stage, setting, {}))
    for name, value in status.scores.items():
      row.scores.setdefault(name, []).append(value)
  return list(rows.values())


def _csv(known: state_lib.Statuses) -> str:
  """One line a run, with the error of one that failed."""
  settings = dict.fromkeys(k for run, _ in known for k in run.setting)
  scores = dict.fromkeys(k for _, status in known for k in status.scores)
  text = io.StringIO()
  write = csv.writer(text, lineterminator="\n").writerow
  write([*_FIRST.split(","), *settings, *scores, "error"])
  for run, status in known:
    own = (run.setting.get(k, "") for k in settings)
    values = (status.scores.get(k, "") for k in scores)
    write([run.name, run.stage, status.state, *own, *values, status.error])
  return text.getvalue()


def _markdown(
  sweep: sweep_lib.Sweep, known: state_lib.Statuses, rows: list[Row]
) -> str:
  """Means and standard deviations over seeds, and the runs that failed."""
  done = sum(status.state == "done" for _, status in known)
  failed = [(r, s) for r, s in known if s.state == "failed"]
  parts = [
    f"# {pathlib.Path(sweep.config).stem}",
    f"{done} of {len(known)} runs done, {len(failed)} failed.",
  ]
  if sweep.metric:
    parts.append(
      f"Selected by {sweep.metric} ({sweep.best}) over"
      f" {', '.join(sweep.tuned)}."
    )
  for stage, title in _TITLES.items():
    if in_stage := [row for row in rows if row.stage == stage]:
      parts += [f"## {title}", _table(in_stage)]
  means, notes = vtab_means(sweep, rows)
  if means or notes:
    parts += ["## VTAB-1k", *([_table(means)] if means else []), *notes]
  if failed:
    parts += ["## Failed"]
    parts += [
      f"- {r.name} ({sweep_lib.setting_text(r.setting)}): {s.error}"
      for r, s in failed
    ]
  return "\n\n".join(parts) + "\n"


def vtab_means(
  sweep: sweep_lib.Sweep, rows: list[Row]
) -> tuple[list[Row], list[str]]:
  """Means over VTAB-1k's tasks, where a setting names them ("vtab:dtd").

  Runs among which a selection is still to be made have none. The k-th mean is
  that over the k-th seed of each task.

  Returns:
    A row for each combination of the other settings, without those that were
    selected; its scores are "EVALUATOR/GROUP" for the groups and "all". And a
    sentence about each combination that lacks a task or a seed.
  """
  groups: dict[str, Row] = {}
  tasks: dict[str, dict[str, dict[str, list[float]]]] = {}
  for row in rows:
    key = next((k for k, v in row.setting.items() if _is_task(v)), "")
    if not key or (row.stage != "final" and sweep.tuned):
      continue
    left_out = (key, *sweep.tuned)
    rest = {k: v for k, v in row.setting.items() if k not in left_out}
    groups.setdefault(str(rest), Row(row.stage, rest, {}))
    task = row.setting[key].removeprefix(_VTAB)
    for name, values in row.scores.items():
      if name.endswith("/top_1"):
        tasks.setdefault(str(rest), {}).setdefault(name, {})[task] = values
  notes = []
  for key, group in groups.items():
    for name, by_task in tasks.get(key, {}).items():
      seeds = range(max(map(len, by_task.values())))
      try:
        means = [
          vtab.means({t: v[i] for t, v in by_task.items() if len(v) > i})
          for i in seeds
        ]
      except errors.DataError as e:
        setting = sweep_lib.setting_text(group.setting)
        notes.append(f"No means of {setting} yet: {e}.")
        continue
      evaluator = name.removesuffix("top_1")
      for part in means[0]:
        group.scores[f"{evaluator}{part}"] = [mean[part] for mean in means]
  return [row for row in groups.values() if row.scores], notes


def _is_task(value: Any) -> bool:
  return isinstance(value, str) and value.startswith(_VTAB)


def _table(rows: list[Row]) -> str:
  settings = list(dict.fromkeys(k for row in rows for k in row.setting))
  scores = list(dict.fromkeys(k for row in rows for k in row.scores))
  return markdown_table(
    [*settings, *scores, "runs"],
    (
      [
        *(str(row.setting.get(k, "")) for k in settings),
        *(score_text(row.scores.get(k, [])) for k in scores),
        str(max(map(len, row.scores.values()), default=1)),
      ]
      for row in rows
    ),
  )


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
  """A table in Markdown, without a newline at its end."""
  header = list(header)
  lines = (header, ["---"] * len(header), *rows)
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def score_text(values: list[float]) -> str:
  """ "mean ± standard deviation" (of a sample), or the only value."""
  if not values:
    return ""
  mean = f"{statistics.fmean(values):.5g}"
  if len(values) == 1:
    return mean
  return f"{mean} ± {statistics.stdev(values):.2g}"


def lines(points: Iterable[tuple[str, float, list[float]]]) -> Lines:
  """The lines of a plot with error bars.

  Args:
    points: the name of the line, x, and the values at x, in any order.
  """
  series: Lines = {}
  for name, at, values in sorted(points, key=lambda point: point[1]):
    x, means, deviations = series.setdefault(name, ([], [], []))
    x.append(at)
    means.append(statistics.fmean(values))
    deviations.append(statistics.stdev(values) if len(values) > 1 else 0.0)
  return series


def series(rows: list[Row], metric: str) -> tuple[str, Lines]:
  """The plot of a score against the first setting that is a number.

  Final runs are scored by another evaluator: theirs is the score of the same
  name by that evaluator.

  Returns:
    The setting, "" if no setting is a number with several values; and a line
    for each combination of the other settings.
  """
  scores = {id(row): _score(row, metric) for row in rows}
  rows = [row for row in rows if scores[id(row)]]
  x = next(
    (k for k in (rows[0].setting if rows else ()) if _is_axis(rows, k)), ""
  )
  points = []
  for row in rows if x else ():
    score = scores[id(row)]
    name = ", ".join(
      f"{key.rsplit('.', 1)[-1].lstrip(':')}={str(value) or 'none'}"
      for key, value in row.setting.items()
      if key != x and _varies(rows, row.stage, key)
    )
    if row.stage == "final":
      name += f" (final, {score})" if name else f"final, {score}"
    points.append((name, row.setting[x], row.scores[score]))
  return x, lines(points)


def _score(row: Row, metric: str) -> str:
  """Name of the row's score that is plotted, "" for none."""
  if row.stage == "start":
    return ""
  if metric in row.scores:
    return metric
  last = metric.partition("/")[2]
  others = (k for k in row.scores if k.partition("/")[2] == last)
  return next(others, "") if row.stage == "final" else ""


def _varies(rows: list[Row], stage: sweep_lib.Stage, key: str) -> bool:
  values = [row.setting.get(key) for row in rows if row.stage == stage]
  return any(value != values[0] for value in values)


def _is_axis(rows: list[Row], key: str) -> bool:
  values: list[Any] = [row.setting.get(key) for row in rows]
  numbers = all(isinstance(v, int | float) for v in values)
  return numbers and len({*values}) > 1


def plotted_metric(sweep: sweep_lib.Sweep, rows: list[Row]) -> str:
  """The metric that selects; else the first accuracy; else the first score."""
  names = list(dict.fromkeys(k for row in rows for k in row.scores))
  first = next((k for k in names if k.endswith("/top_1")), "")
  return sweep.metric or first or next(iter(names), "")
