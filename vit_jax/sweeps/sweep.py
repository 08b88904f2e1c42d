"""A sweep: which runs it has, and which of them selection adds."""

from collections.abc import Mapping
import dataclasses
import functools
import os
import pathlib
from typing import Any, Literal

from vit_jax.core import config as config_lib, errors, identity, python_files
from vit_jax.sweeps import grid
from vit_jax.train import experiment

# Runs that others start from, those of the settings, those of the winners.
Stage = Literal["start", "first", "final"]
# Folder of the runs in the sweep's workdir.
RUNS = "runs"


@dataclasses.dataclass(frozen=True)
class Trained:
  """Value of a setting: the folder of another run, which is trained first.

  A run that starts from what another has trained has it as the value of
  `start.checkpoint`, or of the config's argument for that. Equal values stand
  for the same run.

  Attributes:
    name: name of the other run, in tables and plots.
    config: its config file, relative to that of the run that starts from it.
    setting: its setting; it may start from a third run.
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
    config: the config file of every run. In a sweep's file it is relative to
      that file.
    settings: settings of the runs, see `grid`. Values that are `Trained` add
      runs that come before these and that selection leaves out.
    metric: the "EVALUATOR/SCORE" at the end of a run by which runs are
      selected, such as "val/top_1"; "" if nothing is selected.
    best: whether the largest or the smallest score wins.
    tuned: keys whose values are chosen; there is a winner for each combination
      of the other keys' values.
    final: settings for further runs of each winner, which are put over its
      own, such as training on everything with three seeds.
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
        "a sweep needs both metric and tuned, or neither"
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

  @functools.cached_property
  def runs(self) -> "list[Run]":
    """The runs that are known from the beginning, each after those it needs.

    Raises:
      ConfigError: a setting does not fit the config, or two are the same run.
    """
    first = _distinct([make(self.config, s) for s in self.settings])
    return _with_needed(first, first)

  def finals(self, scores: Mapping[str, float | None]) -> "list[Run]":
    """The final runs of those groups of which every run has ended.

    Args:
      scores: scores of the runs that have ended, by name of the run; None for
        a run that failed.
    """
    groups: dict[tuple, list[Run]] = {}
    for run in self.runs:
      key = tuple((k, v) for k, v in run.setting.items() if k not in self.tuned)
      if run.stage == "first":
        groups.setdefault(key, []).append(run)
    made = []
    sign = 1 if self.best == "max" else -1
    for group in groups.values():
      if any(run.name not in scores for run in group):
        continue
      scored = [
        (sign * score, -i)
        for i, run in enumerate(group)
        if (score := scores[run.name]) is not None
      ]
      if scored:
        # Of equal scores the first wins.
        winner = group[-max(scored)[1]]
        made += [
          make(self.config, {**winner.setting, **over}, "final")
          for over in self.final
        ]
    return _with_needed(_distinct(made), self.runs)


@dataclasses.dataclass(frozen=True)
class Run:
  """A run of a sweep.

  Attributes:
    name: name of its folder, a hash of its config, so that the same setting of
      a changed config file is another run.
    stage: which part of the sweep it belongs to.
    setting: what makes it differ from the config file's defaults.
    path: the config file.
    before: the runs that it starts from, by the key of the setting.
    config: the resolved ConfigDict; paths of the runs that it starts from are
      relative to the sweep's workdir.
  """

  name: str
  stage: Stage
  setting: grid.Setting
  path: str
  before: Mapping[str, "Run"]
  config: Any

  def flags(self, workdir: str) -> list[str]:
    """Arguments of the train command, in the workdir of the sweep."""
    arg, overrides = _resolved(self.setting, self.before, f"{workdir}/")
    colon = f":{arg}" if arg else ""
    return [
      f"--config={self.path}{colon}",
      *(f"--config.{k}={_text(v)}" for k, v in overrides.items()),
    ]


def _text(value: Any) -> str:
  """The value as the flags of ml_collections take it."""
  if isinstance(value, tuple | list):
    return repr(tuple(value))
  return str(value)


def load(path: str, arg: str = "") -> Sweep:
  """The sweep of a file.

  Raises:
    ConfigError: no such file, no `get_sweep`, or it returns no `Sweep`.
  """
  module = python_files.load_module(path)
  if not hasattr(module, "get_sweep"):
    raise errors.ConfigError(
      f"config={path} defines no get_sweep(arg); files with get_config are for"
      " train"
    )
  sweep = module.get_sweep(arg)
  if not isinstance(sweep, Sweep):
    raise errors.ConfigError(
      f"config={path}: get_sweep returned {type(sweep).__name__}, not a Sweep"
    )
  config = pathlib.Path(path).parent / sweep.config
  return dataclasses.replace(sweep, config=str(config))


def needed(run: Run) -> list[Run]:
  """All runs that come before a run, the earliest first."""
  return [
    r for parent in run.before.values() for r in (*needed(parent), parent)
  ]


def _with_needed(later: list[Run], known: list[Run]) -> list[Run]:
  """These runs, after the runs that they need and that are not known yet."""
  names = {run.name for run in known}
  more = {r.name: r for run in later for r in needed(run)}
  return [*(r for name, r in more.items() if name not in names), *later]


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
  arg, values = _resolved(setting, before, "")
  config = config_lib.load(path, arg, values, experiment.Experiment)
  added = identity.added_fields(experiment.Experiment, config)
  name = identity.fingerprint(config, added)[:12]
  return Run(name, stage, setting, path, before, config)


def _resolved(
  setting: grid.Setting, before: Mapping[str, Run], place: str
) -> tuple[str, dict[str, Any]]:
  """The config file's argument, and values by the path of their field."""
  folders = {key: f"{place}{RUNS}/{run.name}" for key, run in before.items()}
  values = {**setting, **folders}
  arg = ",".join(f"{k[1:]}={v}" for k, v in values.items() if k[0] == ":")
  return arg, {k: v for k, v in values.items() if k[0] != ":"}


def _distinct(runs: list[Run]) -> list[Run]:
  """The runs, unless two of them are the same."""
  by_name: dict[str, Run] = {}
  for run in runs:
    other = by_name.setdefault(run.name, run)
    if other is not run:
      raise errors.ConfigError(
        f"two runs of a sweep are the same: {setting_text(other.setting)} and"
        f" {setting_text(run.setting)}"
      )
  return runs


def setting_text(setting: grid.Setting) -> str:
  """A setting on one line."""
  return ", ".join(f"{k}={v}" for k, v in setting.items()) or "(the defaults)"
