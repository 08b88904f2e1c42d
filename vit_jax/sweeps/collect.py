"""Results of a sweep: all runs in CSV, means over seeds in Markdown."""

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


@dataclasses.dataclass(frozen=True)
class Row:
  """Runs that differ in their seeds alone.

  Attributes:
    stage: which part of the sweep they belong to.
    setting: what they share.
    scores: values by "EVALUATOR/SCORE", one for each seed.
  """

  stage: sweep_lib.Stage
  setting: dict[str, Any]
  scores: dict[str, list[float]]


def collect(
  sweep: sweep_lib.Sweep, runs: list[sweep_lib.Run], workdir: str
) -> list[Row]:
  """Writes results.csv and results.md; returns the rows of the latter.

  The same runs give the same files, in whatever order and however often
  interrupted they ran.

  Raises:
    ConfigError: no run is done.
  """
  found = state_lib.all_of(sweep, runs, workdir)
  if not any(status.state == "done" for _, status in found):
    raise errors.ConfigError(
      f"workdir={workdir}: no run is done; `sweep run` comes first"
    )
  rows = means(found)
  home = pathlib.Path(workdir)
  owners.check_file(
    "workdir",
    home / "results.csv",
    lambda head: head.startswith(_FIRST.encode()),
    "a table of a sweep",
  )
  files.write(home / "results.csv", _csv(found))
  files.write(home / "results.md", _markdown(sweep, found, rows))
  return rows


def means(found: state_lib.Found) -> list[Row]:
  """The runs that are done, grouped over seeds, in the order of the sweep."""
  rows: dict[str, Row] = {}
  for run, status in found:
    if status.state != "done":
      continue
    setting = {k: v for k, v in run.setting.items() if k not in _SEEDS}
    key = str((run.stage, setting))
    row = rows.setdefault(key, Row(run.stage, setting, {}))
    for name, value in status.scores.items():
      row.scores.setdefault(name, []).append(value)
  return list(rows.values())


def _csv(found: state_lib.Found) -> str:
  """One line a run, with the error of one that failed."""
  settings = dict.fromkeys(k for run, _ in found for k in run.setting)
  scores = dict.fromkeys(k for _, status in found for k in status.scores)
  text = io.StringIO()
  write = csv.writer(text, lineterminator="\n").writerow
  write([*_FIRST.split(","), *settings, *scores, "error"])
  for run, status in found:
    write(
      [
        run.name,
        run.stage,
        status.state,
        *(run.setting.get(k, "") for k in settings),
        *(status.scores.get(k, "") for k in scores),
        status.error,
      ]
    )
  return text.getvalue()


def _markdown(
  sweep: sweep_lib.Sweep,
  found: state_lib.Found,
  rows: list[Row],
) -> str:
  """Mean and standard deviation over seeds; what has none is one run."""
  done = sum(status.state == "done" for _, status in found)
  failed = [(r, s) for r, s in found if s.state == "failed"]
  parts = [
    f"# {pathlib.Path(sweep.config).stem}",
    f"{done} of {len(found)} runs done, {len(failed)} failed.",
  ]
  if sweep.metric:
    parts.append(
      f"Selected by {sweep.metric} ({sweep.best}) over"
      f" {', '.join(sweep.tuned)}."
    )
  for stage, title in _TITLES.items():
    mine = [row for row in rows if row.stage == stage]
    if mine:
      parts += [f"## {title}", _table(mine)]
  found_means, notes = vtab_means(sweep, rows)
  if found_means or notes:
    parts += ["## VTAB-1k", *([_table(found_means)] if found_means else [])]
    parts += notes
  if failed:
    parts += ["## Failed"]
    parts += [
      f"- {r.name} ({sweep_lib.shown(r.setting)}): {s.error}" for r, s in failed
    ]
  return "\n\n".join(parts) + "\n"


def vtab_means(
  sweep: sweep_lib.Sweep, rows: list[Row]
) -> tuple[list[Row], list[str]]:
  """Means over VTAB-1k's tasks, where a setting names them ("vtab:dtd").

  One row for each combination of what else was set, and not selected, with
  "EVALUATOR/GROUP" for the groups and "all"; the k-th mean is that of the k-th
  seeds. Where a task or a seed is missing there is a sentence instead.
  """
  groups: dict[str, Row] = {}
  tasks: dict[str, dict[str, dict[str, list[float]]]] = {}
  for row in rows:
    key = next((k for k, v in row.setting.items() if _is_task(v)), "")
    if not key or (row.stage != "final" and sweep.tuned):
      continue
    left_out = (key, *sweep.tuned)
    rest = {k: v for k, v in row.setting.items() if k not in left_out}
    group = groups.setdefault(str(rest), Row(row.stage, rest, {}))
    task = row.setting[key].removeprefix(_VTAB)
    for name, values in row.scores.items():
      if name.endswith("/top_1"):
        tasks.setdefault(str(rest), {}).setdefault(name, {})[task] = values
  notes = []
  for key, group in groups.items():
    for name, by_task in tasks.get(key, {}).items():
      try:
        for seed in range(max(map(len, by_task.values()))):
          one = {t: v[seed] for t, v in by_task.items() if len(v) > seed}
          for of, mean in vtab.means(one).items():
            score = f"{name.removesuffix('top_1')}{of}"
            group.scores.setdefault(score, []).append(mean)
      except errors.DataError as e:
        group.scores.clear()
        notes.append(f"No means of {sweep_lib.shown(group.setting)} yet: {e}.")
  return [row for row in groups.values() if row.scores], notes


def _is_task(value: Any) -> bool:
  return isinstance(value, str) and value.startswith(_VTAB)


def _table(rows: list[Row]) -> str:
  settings = list(dict.fromkeys(k for row in rows for k in row.setting))
  scores = list(dict.fromkeys(k for row in rows for k in row.scores))
  lines = [[*settings, *scores, "runs"]]
  for row in rows:
    cells = [str(row.setting.get(k, "")) for k in settings]
    cells += [text(row.scores.get(k, [])) for k in scores]
    lines.append([*cells, str(max(map(len, row.scores.values()), default=1))])
  lines.insert(1, ["---"] * len(lines[0]))
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(values: list[float]) -> str:
  """ "mean ± standard deviation" (of a sample), or the one value."""
  if not values:
    return ""
  mean = f"{statistics.fmean(values):.5g}"
  if len(values) == 1:
    return mean
  return f"{mean} ± {statistics.stdev(values):.2g}"


def series(
  rows: list[Row], metric: str
) -> tuple[str, dict[str, tuple[list[float], list[float], list[float]]]]:
  """What a plot shows: a score against the first setting that is a number.

  Of final runs, which another evaluator scores, it is that one's score of the
  same name.

  Returns:
    The setting, "" where none is a number with several values; and x, means
    and deviations over seeds, a series for each combination of the others.
  """
  shown = {id(row): _score(row, metric) for row in rows}
  rows = [row for row in rows if shown[id(row)]]
  x = next(
    (k for k in (rows[0].setting if rows else ()) if _is_axis(rows, k)), ""
  )
  found: dict[str, tuple[list[float], list[float], list[float]]] = {}
  for row in sorted(rows, key=lambda row: row.setting[x]) if x else ():
    score = shown[id(row)]
    name = ", ".join(
      f"{key.rsplit('.', 1)[-1].lstrip(':')}={str(value) or 'none'}"
      for key, value in row.setting.items()
      if key != x and _varies(rows, row.stage, key)
    )
    if row.stage == "final":
      name += f" (final, {score})" if name else f"final, {score}"
    line = found.setdefault(name, ([], [], []))
    values = row.scores[score]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    point = (row.setting[x], statistics.fmean(values), deviation)
    for column, value in zip(line, point, strict=True):
      column.append(value)
  return x, found


def _score(row: Row, metric: str) -> str:
  """The row's score that is drawn, "" for none."""
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


def shown_metric(sweep: sweep_lib.Sweep, rows: list[Row]) -> str:
  """What is drawn: what selects, else the first accuracy, else the first."""
  names = list(dict.fromkeys(k for row in rows for k in row.scores))
  first = next((k for k in names if k.endswith("/top_1")), "")
  return sweep.metric or first or next(iter(names), "")
