"""A sweep: which runs it has, and which of them selection adds."""

from collections.abc import Mapping
import dataclasses
import importlib.util
import os
import pathlib
from typing import Any, Literal

from vit_jax.core import config as config_lib, errors
from vit_jax.sweeps import grid
from vit_jax.train import experiment

# Runs that others start from, those of the settings, those of the winners.
Stage = Literal["start", "first", "final"]
# Folder of the runs in the sweep's workdir.
RUNS = "runs"


@dataclasses.dataclass(frozen=True)
class Trained:
  """Value of a setting: the folder of another run, which comes before.

  It is what `start.checkpoint`, or a config's argument for it, is given where a
  run starts from what another has trained. Equal ones are one run.

  Attributes:
    name: of it, in tables and plots.
    config: its config file, relative to that of the run that starts from it.
    setting: its setting; it may start from another run in turn.
  """

  name: str
  config: str
  setting: Mapping[str, Any] = dataclasses.field(hash=False)

  def __str__(self) -> str:
    return self.name


@dataclasses.dataclass(frozen=True)
class Sweep:
  """What a sweep's file returns from `get_sweep(arg="")`.

  Attributes:
    config: the config file of every run, relative to the sweep's file.
    settings: of the runs, see `grid`. Values that are `Trained` add runs that
      come before; selection has no part in those.
    metric: "EVALUATOR/SCORE" that selects, at the end of a run, such as
      "val/top_1"; "" does not select.
    best: which value of it is the best.
    tuned: keys whose values selection chooses; each combination of the others
      has a winner of its own.
    final: settings that are put over those of each winner, one run for each:
      such as training on everything, with three seeds.
  """

  config: str
  settings: grid.Settings
  metric: str = ""
  best: Literal["max", "min"] = "max"
  tuned: tuple[str, ...] = ()
  final: grid.Settings = ()

  def __post_init__(self):
    if not self.settings:
      raise errors.ConfigError("a sweep needs at least one setting")
    if bool(self.tuned) != bool(self.metric):
      raise errors.ConfigError(
        "a sweep gives both of metric and tuned, or none"
      )
    if self.final and not self.metric:
      raise errors.ConfigError(
        "final runs of a sweep need a metric that selects"
      )
    if self.metric and self.metric.count("/") != 1:
      raise errors.ConfigError(
        f"metric={self.metric} must be EVALUATOR/SCORE, such as val/top_1"
      )
    keys = {key for setting in self.settings for key in setting}
    for key in self.tuned:
      if key not in keys:
        raise errors.ConfigError(
          f"tuned {key} is set by no run{errors.did_you_mean(key, keys)}"
        )


@dataclasses.dataclass(frozen=True)
class Run:
  """A run of a sweep.

  Attributes:
    name: of its folder; from what the config says it is, so that the same
      settings of another config are another run.
    stage: which part of the sweep it belongs to.
    setting: what makes it differ from the config file's defaults.
    path: the config file.
    before: by key, the runs that the setting takes something from.
    config: the resolved config; it names the runs before this one as if the
      sweep's workdir were the current one.
  """

  name: str
  stage: Stage
  setting: grid.Setting
  path: str
  before: Mapping[str, "Run"]
  config: config_lib.ConfigDict

  def flags(self, workdir: str) -> list[str]:
    """Arguments of the train command, but its workdir.

    Args:
      workdir: of the sweep.
    """
    arg, overrides = _resolved(self.setting, self.before, f"{workdir}/")
    colon = f":{arg}" if arg else ""
    return [
      f"--config={self.path}{colon}",
      *(f"--config.{k}={_text(v)}" for k, v in overrides.items()),
    ]


def _text(value: Any) -> str:
  """As ml_collections' flags read it."""
  if isinstance(value, tuple | list):
    return repr(tuple(value))
  return str(value)


def load(path: str, arg: str = "") -> tuple[Sweep, str]:
  """A sweep, and the path of its config file.

  Raises:
    ConfigError: no such file, no `get_sweep`, or what it returns is none.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    near = [str(p) for p in sorted(file.parent.glob("*.py"))]
    raise errors.ConfigError(
      f"config={path} is no file{errors.did_you_mean(path, near)}"
    )
  spec = importlib.util.spec_from_file_location(f"sweep_{file.stem}", file)
  if spec is None or spec.loader is None:
    raise errors.ConfigError(f"config={path} is not a Python file (*.py)")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, "get_sweep"):
    raise errors.ConfigError(
      f"config={path} defines no get_sweep(arg); one that defines get_config is"
      " for train"
    )
  sweep = module.get_sweep(arg)
  if not isinstance(sweep, Sweep):
    raise errors.ConfigError(
      f"config={path}: get_sweep returned a {type(sweep).__name__}, no Sweep"
    )
  return sweep, str(file.parent / sweep.config)


def runs(sweep: Sweep, path: str) -> list[Run]:
  """The runs that are known from the beginning, each after those it needs.

  Raises:
    ConfigError: a setting does not fit the config, or two are the same run.
  """
  first = _distinct([make(path, setting) for setting in sweep.settings])
  return _with_needed(first, first)


def needed(run: Run) -> list[Run]:
  """All runs that come before a run, the earliest first."""
  return [
    one for parent in run.before.values() for one in (*needed(parent), parent)
  ]


def _with_needed(later: list[Run], known: list[Run]) -> list[Run]:
  """These runs after those that they need and that are not known yet."""
  names = {run.name for run in known}
  more = {e.name: e for run in later for e in needed(run)}
  return [*(e for name, e in more.items() if name not in names), *later]


def finals(
  sweep: Sweep, first: list[Run], scores: Mapping[str, float | None]
) -> list[Run]:
  """The final runs of the groups whose every run has ended.

  Args:
    sweep: with a metric.
    first: the runs that are known from the beginning.
    scores: of the ended runs by name; None for one that failed.
  """
  groups: dict[tuple, list[Run]] = {}
  for run in first:
    key = tuple((k, v) for k, v in run.setting.items() if k not in sweep.tuned)
    if run.stage == "first":
      groups.setdefault(key, []).append(run)
  made = []
  sign = 1 if sweep.best == "max" else -1
  for group in groups.values():
    if any(run.name not in scores for run in group):
      continue
    scored = [
      (sign * score, -i)
      for i, run in enumerate(group)
      if (score := scores[run.name]) is not None
    ]
    if scored:
      # The first of equal ones wins.
      winner = group[-max(scored)[1]]
      made += [
        make(winner.path, {**winner.setting, **over}, "final")
        for over in sweep.final
      ]
  return _with_needed(_distinct(made), first)


def make(path: str, setting: grid.Setting, stage: Stage = "first") -> Run:
  """The run of a setting."""
  before = {
    key: make(
      os.path.normpath(pathlib.Path(path).parent / value.config),
      dict(value.setting),
      "start",
    )
    for key, value in setting.items()
    if isinstance(value, Trained)
  }
  config = config_lib.load(path, *_resolved(setting, before, ""))
  added = config_lib.added_fields(experiment.Experiment, config)
  name = config_lib.fingerprint(config, added)[:12]
  return Run(name, stage, setting, path, before, config)


def _resolved(
  setting: grid.Setting, before: Mapping[str, Run], place: str
) -> tuple[str, dict[str, Any]]:
  """The config file's argument, and values by the path of their field."""
  folders = {key: f"{place}{RUNS}/{run.name}" for key, run in before.items()}
  values = {**setting, **folders}
  arg = ",".join(f"{k[1:]}={v}" for k, v in values.items() if k[0] == ":")
  return arg, {k: v for k, v in values.items() if k[0] != ":"}


def _distinct(found: list[Run]) -> list[Run]:
  by_name: dict[str, Run] = {}
  for run in found:
    other = by_name.setdefault(run.name, run)
    if other is not run:
      raise errors.ConfigError(
        f"two runs of a sweep are the same: {shown(other.setting)} and"
        f" {shown(run.setting)}"
      )
  return found


def shown(setting: grid.Setting) -> str:
  """A setting on one line."""
  return ", ".join(f"{k}={v}" for k, v in setting.items()) or "(the defaults)"
