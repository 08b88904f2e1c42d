"""Runs a miniature, and writes its table, plot and verdicts."""

from collections.abc import Callable, Mapping
import dataclasses
import json
import os
import pathlib
import statistics
import time
from typing import Any

from vit_jax.analysis import plots
from vit_jax.core import errors
from vit_jax.reproduce import miniature as miniature_lib
from vit_jax.sweeps import collect, execute, leaks, state, sweep as sweep_lib

Miniature = miniature_lib.Miniature


@dataclasses.dataclass(frozen=True)
class ArmResult:
  """What an arm reached.

  Attributes:
    name, series: of the arm.
    x: its place on the axis.
    rate: its learning rate.
    scores: one for each seed, by metric.
    runs: folders of these runs, in the order of the scores.
  """

  name: str
  series: str
  x: float
  rate: float
  scores: dict[str, list[float]]
  runs: list[str]


@dataclasses.dataclass(frozen=True)
class Result:
  """What a miniature found.

  Attributes:
    name: of the miniature.
    arms: all of them, those that have not run without scores.
    verdicts: of the claims, in their order.
    failed: runs that failed.
  """

  name: str
  arms: list[ArmResult]
  verdicts: list[str]
  failed: int


def run(
  one: Miniature,
  workdir: str,
  out: str,
  *,
  data_dir: str,
  workers: int,
  say: Callable[[str], None] = print,
) -> Result:
  """Runs what is not done yet or has failed, and writes the results.

  Args:
    one: the miniature.
    workdir: where its runs are.
    out: folder of its table, plot and results.
    data_dir: where the data sets are.
    workers: runs at a time.
    say: is told what begins and ends.

  Raises:
    RunError: a run failed; what is known by then is written.
    Interrupted: the same call goes on.
  """
  sweep = one.sweep({"runtime.data_dir": data_dir})
  runs = sweep_lib.runs(sweep, miniature_lib.RECIPE)
  leaks.check(sweep, runs)
  start = time.time()
  try:
    execute.execute(sweep, runs, workdir, workers=workers, retry=True, say=say)
  finally:
    _note_time(workdir, time.time() - start, workers)
  result = gather(one, sweep, runs, workdir)
  write(one, result, sweep, runs, workdir, out)
  if result.failed:
    raise errors.RunError(
      f"{result.failed} runs failed, see {out}/runs.csv; the same command tries"
      " them again"
    )
  return result


def gather(
  one: Miniature,
  sweep: sweep_lib.Sweep,
  runs: list[sweep_lib.Run],
  workdir: str,
) -> Result:
  """What the runs have left, by arm; it reads files alone."""
  found = state.all_of(sweep, runs, workdir)
  last = "final" if one.tuned else "first"
  ends = [(run, status) for run, status in found if run.stage == last]
  places = one.x()
  arms = {
    arm.name: ArmResult(arm.name, arm.series, places[arm.name], 0.0, {}, [])
    for arm in one.arms
  }
  for run, status in ends:
    if status.state != "done":
      continue
    arm = arms[one.arm_of(run.setting).name]
    arm.runs.append(run.name)
    for metric in one.metrics:
      arm.scores.setdefault(metric, []).append(status.scores[metric])
    rate = run.config.optim.peak_lr
    arms[arm.name] = dataclasses.replace(arm, rate=rate)
  scores = {
    metric: {name: a.scores[metric] for name, a in arms.items() if a.scores}
    for metric in one.metrics
  }
  return Result(
    name=one.name,
    arms=list(arms.values()),
    verdicts=[claim.judge(places, scores) for claim in one.claims],
    failed=sum(s.state == "failed" for _, s in found),
  )


def write(
  one: Miniature,
  result: Result,
  sweep: sweep_lib.Sweep,
  runs: list[sweep_lib.Run],
  workdir: str,
  out: str,
) -> None:
  """Writes result.json, table.md, plot.png and runs.csv into `out`.

  The same runs give the same files; how long they took is in time.json.
  """
  home = pathlib.Path(out)
  home.mkdir(parents=True, exist_ok=True)
  collect.collect(sweep, runs, workdir)
  csv = (pathlib.Path(workdir) / "results.csv").read_text()
  (home / "runs.csv").write_text(csv)
  text = json.dumps(dataclasses.asdict(result), indent=1)
  (home / "result.json").write_text(text + "\n")
  (home / "table.md").write_text(table(one, result))
  took = times(workdir)
  (home / "time.json").write_text(json.dumps(took, indent=1) + "\n")
  draw(one, result, str(home / "plot.png"))


def read(out: str) -> Result:
  """The result that `write` has left.

  Raises:
    FileNotFoundError: there is none.
  """
  fields = json.loads((pathlib.Path(out) / "result.json").read_text())
  arms = [ArmResult(**arm) for arm in fields.pop("arms")]
  return Result(arms=arms, **fields)


def table(one: Miniature, result: Result) -> str:
  """Arms with mean and deviation over seeds, and the verdicts."""
  x = [one.x_label] if one.axis in ("images", "compute") else []
  lines = [["arm", *x, "rate", *one.metrics, "seeds"]]
  lines.append(["---"] * len(lines[0]))
  for arm in result.arms:
    cells = [collect.text(arm.scores.get(m, [])) for m in one.metrics]
    place = {"images": [f"{arm.x:,.0f}"], "compute": [f"{arm.x:.2e}"]}
    rate = f"{arm.rate:g}" if arm.runs else ""
    lines.append(
      [arm.name, *place.get(one.axis, []), rate, *cells, str(len(arm.runs))]
    )
  parts = [
    "\n".join(f"| {' | '.join(line)} |" for line in lines),
    "\n".join(
      f"- **{verdict}**: {claim.text} Rule: {claim.rule} ({claim.metric})."
      for claim, verdict in zip(one.claims, result.verdicts, strict=True)
    ),
  ]
  return "\n\n".join(parts) + "\n"


def draw(one: Miniature, result: Result, file: str) -> None:
  """The first metric with error bars, a line for each series."""
  series: dict[str, tuple[list[float], list[float], list[float]]] = {}
  done = [arm for arm in result.arms if arm.scores]
  for arm in sorted(done, key=lambda arm: arm.x):
    values = arm.scores[one.metrics[0]]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    line = series.setdefault(arm.series, ([], [], []))
    point = (arm.x, statistics.fmean(values), deviation)
    for column, value in zip(line, point, strict=True):
      column.append(value)
  if series:
    plots.errorbars(series, file, x_label=one.x_label, y_label=one.metrics[0])


def _note_time(workdir: str, seconds: float, workers: int) -> None:
  """Adds how long a call has run; an ended call costs next to nothing."""
  home = pathlib.Path(workdir)
  home.mkdir(parents=True, exist_ok=True)
  row = {
    "seconds": round(seconds),
    "workers": workers,
    "cores": len(os.sched_getaffinity(0)),
    "load": round(os.getloadavg()[1], 1),
  }
  if seconds > 1:
    with (home / "times.jsonl").open("a") as f:
      f.write(json.dumps(row) + "\n")


def times(workdir: str) -> list[Mapping[str, Any]]:
  """How long the calls have run that ended by themselves or by a signal."""
  file = pathlib.Path(workdir) / "times.jsonl"
  lines = file.read_text().splitlines() if file.exists() else []
  return [json.loads(line) for line in lines]
