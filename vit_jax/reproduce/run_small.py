"""Runs small experiments, and writes their tables, plots and verdicts.

The rules of the claims were written before the runs, except for one of Figure 8
(its remarks say why). Differences are of accuracy, so that 0.01 is one point.
"""

from collections.abc import Callable
import dataclasses
import json
import os
import pathlib
import time

from vit_jax.analysis import plots
from vit_jax.core import errors, files, owners
from vit_jax.reproduce.small_experiment import AXES, SmallExperiment
from vit_jax.sweeps import collect, execute, leaks, state, sweep as sweep_lib


@dataclasses.dataclass(frozen=True)
class ArmResult:
  """The results of an arm.

  Attributes:
    name, series: those of the arm.
    x: its place on the x axis.
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
  """The results of a small experiment.

  Attributes:
    name: name of the experiment.
    arms: all arms; those that have not run have no scores.
    verdicts: one for each claim, in their order.
    failed: number of runs that failed.
  """

  name: str
  arms: list[ArmResult]
  verdicts: list[str]
  failed: int


def run(
  experiment: SmallExperiment,
  workdir: str,
  out: str,
  *,
  data_dir: str,
  workers: int,
  say: Callable[[str], None] = print,
) -> Result:
  """Runs everything that is missing or has failed, and writes the results.

  Its runs are in `workdir`, its table, plot and results in `out`; as many runs
  as `workers` train at a time, and `say` is called with messages of progress.

  Raises:
    ConfigError: the results would replace other files.
    RunError: a run failed; the results of the others are written.
    Interrupted: a signal stopped it; the same call continues.
  """
  owners.check_folder("out", pathlib.Path(out))
  owners.check_file(
    "out",
    pathlib.Path(out, "result.json"),
    lambda head: b'"arms"' in head,
    "a result",
  )
  sweep = experiment.sweep({"runtime.data_dir": data_dir})
  leaks.check(sweep)
  start = time.time()
  try:
    execute.execute(sweep, workdir, workers=workers, retry=True, say=say)
  finally:
    _note_time(workdir, time.time() - start, workers)
  result = gather(experiment, sweep, workdir)
  write(experiment, result, sweep, workdir, out)
  if result.failed:
    raise errors.RunError(
      f"{result.failed} runs failed, see {out}/runs.csv; the same command tries"
      " them again"
    )
  return result


def gather(
  experiment: SmallExperiment,
  sweep: sweep_lib.Sweep,
  workdir: str,
) -> Result:
  """Reads the results of the runs from their files."""
  states = state.statuses(sweep, workdir)
  last = "final" if experiment.tuned else "first"
  done: dict[str, state.Statuses] = {arm.name: [] for arm in experiment.arms}
  for run, status in states:
    if run.stage == last and status.state == "done":
      done[experiment.arm_of(run.setting).name].append((run, status))
  x = experiment.x()
  arms = []
  for arm in experiment.arms:
    ended = done[arm.name]
    metrics = experiment.metrics if ended else ()
    arms.append(
      ArmResult(
        name=arm.name,
        series=arm.series,
        x=x[arm.name],
        rate=ended[0][0].config.optim.peak_lr if ended else 0.0,
        scores={m: [s.scores[m] for _, s in ended] for m in metrics},
        runs=[run.name for run, _ in ended],
      )
    )
  scores = {
    metric: {arm.name: arm.scores[metric] for arm in arms if arm.scores}
    for metric in experiment.metrics
  }
  return Result(
    name=experiment.name,
    arms=arms,
    verdicts=[claim.judge(x, scores) for claim in experiment.claims],
    failed=sum(status.state == "failed" for _, status in states),
  )


def write(
  experiment: SmallExperiment,
  result: Result,
  sweep: sweep_lib.Sweep,
  workdir: str,
  out: str,
) -> None:
  """Writes result.json, table.md, plot.png and runs.csv into `out`.

  The same runs give the same files; how long they took is in time.json.
  """
  home = pathlib.Path(out)
  home.mkdir(parents=True, exist_ok=True)
  collect.collect(sweep, workdir)
  csv = (pathlib.Path(workdir) / "results.csv").read_text()
  files.write(home / "runs.csv", csv)
  text = json.dumps(dataclasses.asdict(result), indent=1)
  files.write(home / "result.json", text + "\n")
  files.write(home / "table.md", table(experiment, result))
  calls = files.read_rows(pathlib.Path(workdir) / "times.jsonl")
  files.write(home / "time.json", json.dumps(calls, indent=1) + "\n")
  draw(experiment, result, str(home / "plot.png"))


def read(out: str) -> Result:
  """The result in a folder that `write` has written to."""
  fields = json.loads((pathlib.Path(out) / "result.json").read_text())
  arms = [ArmResult(**arm) for arm in fields.pop("arms")]
  return Result(arms=arms, **fields)


def table(experiment: SmallExperiment, result: Result) -> str:
  """Arms with the mean and deviation of their scores, and the verdicts."""
  x_text = AXES[experiment.axis].text
  rows = [
    [
      arm.name,
      *([x_text.format(arm.x)] if x_text else []),
      f"{arm.rate:g}" if arm.runs else "",
      *(collect.score_text(arm.scores.get(m, [])) for m in experiment.metrics),
      str(len(arm.runs)),
    ]
    for arm in result.arms
  ]
  verdicts = [
    f"- **{verdict}**: {claim.text} Rule: {claim.rule} ({claim.metric})."
    for claim, verdict in zip(experiment.claims, result.verdicts, strict=True)
  ]
  x = [AXES[experiment.axis].label] if x_text else []
  header = ["arm", *x, "rate", *experiment.metrics, "seeds"]
  arms = collect.markdown_table(header, rows)
  return "\n".join((arms, "", *verdicts)) + "\n"


def draw(experiment: SmallExperiment, result: Result, file: str) -> None:
  """Plots the first metric with error bars, a line for each series."""
  metric = experiment.metrics[0]
  series = collect.lines(
    (arm.series, arm.x, arm.scores[metric]) for arm in result.arms if arm.scores
  )
  if series:
    x_label = AXES[experiment.axis].label
    plots.errorbars(series, file, x_label=x_label, y_label=metric)


def _note_time(workdir: str, seconds: float, workers: int) -> None:
  """Notes how long a call ran in times.jsonl, unless nothing was to be done."""
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
