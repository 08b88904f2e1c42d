"""An HTML page about one or several runs."""

from collections.abc import Iterable, Sequence
import html
import math
from typing import Any

from jaxtyping import Float64
import numpy as np

from vit_jax.analysis import html_page, plots
from vit_jax.analysis.run_files import RunFiles
from vit_jax.train import recording

_STYLE = """
h2 { margin-top: 2rem; } h3 { font-size: 1rem; margin-bottom: .2rem; }
.scroll { overflow-x: auto; }
th, td { padding: .25rem .7rem .25rem 0; white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.curves { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
svg { width: 100%; height: auto; }
"""
_CURVES = {
  "loss": ("Training loss", True),
  "learning_rate": ("Learning rate", False),
  "l2_grads": ("Norm of the gradients", True),
  "l2_params": ("Norm of the parameters", False),
  "l2_updates": ("Norm of the updates", True),
  "skipped": ("Examples passed over", False),
}


def page(runs: Sequence[RunFiles]) -> str:
  """The HTML text: summary, curves, evaluations, configs, environments."""
  parts = [
    _table(
      ["run", *_summary(runs[0])],
      [[run.name, *_summary(run).values()] for run in runs],
    ),
    *map(_seam, runs),
    "<h2>Training</h2>",
    _grid(_training(runs)),
    "<h2>Evaluation</h2>",
    _grid(_evaluations(runs)),
    _last_scores(runs),
    "<h2>Config</h2>",
    _differences(runs),
    *map(_config, runs),
    "<h2>Environment</h2>",
    _environment(runs),
  ]
  title = ", ".join(run.name for run in runs)
  return html_page.page(title, _STYLE, "".join(parts))


def _summary(run: RunFiles) -> dict[str, Any]:
  rate = run.images_per_s
  known = rate[np.isfinite(rate)]
  seconds = np.diff(run.metrics["time_s"], prepend=0.0)
  return {
    "model": run.config["model.name"],
    "steps": int(run.metrics["step"][-1]),
    "last loss": float(run.metrics["loss"][-1]),
    "images/s (median)": float(np.median(known)) if len(known) else math.nan,
    # The clock of a resumed run starts again, so negative steps do not count.
    "training time": recording.duration_text(seconds[seconds > 0].sum()),
    "devices": run.provenance.get("devices", "unknown"),
  }


def _seam(run: RunFiles) -> str:
  """Where a run goes on from another one."""
  if not run.continues:
    return ""
  before, step = run.continues["run"], run.continues["step"]
  text = f"{run.name} continues {before} from step {step:,}."
  return f"<p>{html.escape(text)}</p>"


def _training(runs: Sequence[RunFiles]) -> Iterable[tuple[str, str]]:
  """Titles and curves of the metrics of each step, those of tasks last."""
  own = dict.fromkeys(key for run in runs for key in run.metrics)
  titles = _CURVES | {
    key: (f"Objective: {key}", False)
    for key in own
    if key not in {*_CURVES, "step", "time_s", "skipped"}
  }
  for key, (title, log) in titles.items():
    lines = {
      run.name: (run.metrics["step"], run.metrics[key])
      for run in runs
      if key in run.metrics
    }
    yield (
      title,
      plots.curves(
        lines,
        x_label="step",
        y_label=key,
        log=log,
        seams=[run.continues["step"] for run in runs if run.continues],
      ),
    )
  lines = {run.name: _throughput(run) for run in runs}
  yield "Throughput", plots.curves(lines, x_label="step", y_label="images/s")


def _throughput(
  run: RunFiles,
) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
  """Steps and rates; where neighbours are averaged, it is by their times."""
  known = np.isfinite(run.images_per_s)
  time = plots.thinned(1 / run.images_per_s[known])
  return plots.thinned(run.metrics["step"][1:][known]), 1 / time


def _evaluations(runs: Sequence[RunFiles]) -> Iterable[tuple[str, str]]:
  """Titles and curves of every score that was measured more than once.

  Deviations of scores, and penalties chosen for them, are in the table only.
  """
  keys = dict.fromkeys(
    (row["name"], key)
    for run in runs
    for row in run.evals
    for key in row
    if key not in ("name", "step", "examples")
    and not key.endswith(("_std", "_penalty"))
  )
  for name, key in keys:
    lines = {}
    for run in runs:
      rows = [r for r in run.evals if r["name"] == name and key in r]
      columns = ([r[column] for r in rows] for column in ("step", key))
      lines[run.name] = tuple(np.array(c, float) for c in columns)
    if max(len(x) for x, _ in lines.values()) > 1:
      title = f"{name}: {key}"
      yield title, plots.curves(lines, x_label="step", y_label=title)


def _last_scores(runs: Sequence[RunFiles]) -> str:
  """A row for each run and evaluator."""
  last = [
    (run.name, name, scores)
    for run in runs
    for name, scores in run.last_scores.items()
  ]
  if not last:
    return "<p>Nothing was evaluated yet.</p>"
  keys = list(dict.fromkeys(k for *_, scores in last for k in scores))
  rows = [[run, name, *(s.get(k, "") for k in keys)] for run, name, s in last]
  return _table(["run", "evaluator", *keys], rows)


def _differences(runs: Sequence[RunFiles]) -> str:
  """The config fields in which the runs differ."""
  if len(runs) == 1:
    return ""
  keys = sorted({key for run in runs for key in run.config})
  rows = [[key, *(str(r.config.get(key, "")) for r in runs)] for key in keys]
  rows = [row for row in rows if len(set(row[1:])) > 1]
  if not rows:
    return "<p>The runs have the same config.</p>"
  return _table(["field", *(run.name for run in runs)], rows)


def _environment(runs: Sequence[RunFiles]) -> str:
  if not any(run.provenance for run in runs):
    return "<p>Unknown: there is no checkpoint yet.</p>"
  facts = []
  for run in runs:
    rest = {k: v for k, v in run.provenance.items() if k != "versions"}
    facts.append({**rest, **run.provenance.get("versions", {})})
  keys = dict.fromkeys(key for f in facts for key in f)
  rows = [[key, *(str(f.get(key, "")) for f in facts)] for key in keys]
  return _table(["", *(run.name for run in runs)], rows)


def _config(run: RunFiles) -> str:
  """All fields of a run's config."""
  rows = [[key, str(value)] for key, value in run.config.items()]
  return (
    f"<details><summary>config of {html.escape(run.name)}</summary>"
    f"{_table(['field', 'value'], rows)}</details>"
  )


def _grid(drawn: Iterable[tuple[str, str]]) -> str:
  """Titled curves beside each other, or below each other on a phone."""
  boxes = [
    f"<div><h3>{html.escape(title)}</h3>{svg}</div>"
    for title, svg in drawn
    if svg
  ]
  return f'<div class="curves">{"".join(boxes)}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  top = "".join(f"<th>{html.escape(text)}</th>" for text in head)
  body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
  return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _cell(value: Any) -> str:
  if isinstance(value, float):
    value = f"{value:.5g}" if math.isfinite(value) else "unknown"
    return f'<td class="number">{value}</td>'
  if isinstance(value, int) and not isinstance(value, bool):
    return f'<td class="number">{value:,}</td>'
  return f"<td>{html.escape(str(value))}</td>"
