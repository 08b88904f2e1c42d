"""A question of the paper, asked again with small models on real images."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
import pathlib
from typing import Any, Literal, NamedTuple

from vit_jax.core import config as config_lib, errors
from vit_jax.plan import flops
from vit_jax.reproduce import recipe
from vit_jax.reproduce.claims import Claim
from vit_jax.sweeps import grid, sweep as sweep_lib
from vit_jax.train import experiment as experiment_lib, setup

RECIPE = str(pathlib.Path(__file__).with_name("recipe.py"))
FILE = pathlib.Path(__file__).with_name("small_experiments.json")
SEEDS = (0, 1, 2)
RATE = "optim.peak_lr"
# Forward and backward pass, by the paper's formula (Table 6).
_PASSES = 3


class Axis(NamedTuple):
  """What the x axis of a plot shows.

  Attributes:
    label: its label.
    text: format of an x in tables; "" leaves it out.
    x: the x of a setting.
  """

  label: str
  text: str
  x: Callable[[grid.Setting], float]


@dataclasses.dataclass(frozen=True)
class Arm:
  """One of the things that an experiment compares.

  Attributes:
    name: its name in tables.
    series: the line of the plot that it is a point of.
    setting: what its runs set, see `sweeps.grid`.
    rates: peak learning rates to choose from, equally many for every arm.
  """

  name: str
  series: str
  setting: grid.Setting
  rates: Sequence[float]


@dataclasses.dataclass(frozen=True)
class SmallExperiment:
  """A small experiment: what is compared, how, and which claims it judges.

  Attributes:
    name: name of its folder.
    serves: the tables and figures whose question it asks, such as "table=8".
    question: the question, in a sentence.
    changed: what differs from the paper.
    arms: what is compared.
    claims: the claims of the paper to judge.
    axis: what the x axis of the plot shows, of `AXES`; "" for one place for
      each arm.
    metrics: scores in the table; the first is plotted.
    common: settings that all runs share.
  """

  name: str
  serves: Sequence[str]
  question: str
  changed: str
  arms: Sequence[Arm]
  claims: Sequence[Claim]
  axis: Literal["", "images", "compute", "rate"] = ""
  metrics: Sequence[str] = ("test/top_1",)
  common: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    if len({len(arm.rates) for arm in self.arms}) != 1:
      raise errors.ConfigError(
        f"{self.name}: every arm must try equally many learning rates"
      )

  @property
  def tuned(self) -> bool:
    """Whether a learning rate is chosen on held-out images."""
    return bool(self.arms[0].rates)

  def sweep(self, extra: grid.Setting) -> sweep_lib.Sweep:
    """The sweep of its runs.

    If there are learning rates to choose from, each is tried with one seed and
    scored on held-out images, and the best of each arm is trained with three
    seeds. Otherwise every arm is trained with three seeds.

    Args:
      extra: settings that do not change the result of a run, such as folders.
    """
    settings = []
    for arm in self.arms:
      setting = {**self.common, **extra, **arm.setting}
      for key, value in setting.items():
        if isinstance(value, sweep_lib.Trained):
          setting[key] = dataclasses.replace(
            value, setting={**value.setting, **extra}
          )
      settings.append(setting)
    seeds = grid.axis(":seed", SEEDS)
    if not self.tuned:
      return sweep_lib.Sweep(RECIPE, grid.product(tuple(settings), seeds))
    return sweep_lib.Sweep(
      config=RECIPE,
      settings=tuple(
        {**setting, ":scored": "val", RATE: rate}
        for arm, setting in zip(self.arms, settings, strict=True)
        for rate in arm.rates
      ),
      metric="val/top_1",
      tuned=(RATE,),
      final=grid.product(grid.axis(":scored", ("test",)), seeds),
    )

  def arm_of(self, setting: Mapping[str, Any]) -> Arm:
    """The arm that a run belongs to, by the run's setting."""
    shared = {":seed", *self.common}
    if self.tuned:
      shared |= {":scored", RATE}
    # As text, because a checkpoint to start from is known by its name.
    own = {
      key: str(value)
      for key, value in setting.items()
      if key not in shared and not key.startswith("runtime.")
    }
    return next(
      arm
      for arm in self.arms
      if own == {key: str(value) for key, value in arm.setting.items()}
    )

  def x(self) -> dict[str, float]:
    """The x of each arm: images, FLOPs of training, the rate, or its number."""
    x = AXES[self.axis].x
    return {
      arm.name: x({**self.common, **arm.setting}) if self.axis else float(i)
      for i, arm in enumerate(self.arms)
    }


def training_flops(setting: grid.Setting) -> float:
  """Operations of a whole run, by the formula of the paper's Table 6."""
  config = sweep_lib.make(RECIPE, setting).config
  experiment = config_lib.build(experiment_lib.Experiment, config)
  shape = (*experiment.model.image_size, recipe.CHANNELS)
  forward = flops.of_model(setup.make_model(experiment), shape)
  images = experiment.duration.steps(
    batch_size=experiment.data.batch_size, epoch_examples=1, total=0
  )
  return _PASSES * forward * images * experiment.data.batch_size


AXES = {
  # One place for each arm.
  "": Axis("", "", lambda s: 0.0),
  "images": Axis("training images", "{:,.0f}", lambda s: float(s[":images"])),
  "compute": Axis("FLOPs of training", "{:.2e}", training_flops),
  "rate": Axis("peak learning rate", "", lambda s: float(s[RATE])),
}


def _arm(
  rates: list[float],
  name: str,
  series: str,
  setting: grid.Setting,
  own_rates: list[float] | None = None,
) -> Arm:
  """An arm of `FILE`, whose values become those of configs."""

  def value(v: Any) -> Any:
    if isinstance(v, dict):
      return sweep_lib.Trained(**v)
    return tuple(v) if isinstance(v, list) else v

  values = {k: value(v) for k, v in setting.items()}
  return Arm(name, series, values, own_rates or rates)


def _read() -> list[SmallExperiment]:
  """The experiments of `FILE`, in its order."""
  content = json.loads(FILE.read_text())
  experiments = []
  for name, fields in content["experiments"].items():
    rates = fields.pop("rates", [])
    experiments.append(
      SmallExperiment(
        name=name,
        arms=[_arm(rates, *arm) for arm in fields.pop("arms")],
        claims=[Claim(**claim) for claim in fields.pop("claims")],
        changed=fields.pop("changed").format(**content["shared"]),
        **fields,
      )
    )
  return experiments


ALL = _read()


def find(what: str) -> SmallExperiment:
  """The small experiment of "table=8" or "figure=9".

  Raises:
    ConfigError: there is none.
  """
  for experiment in ALL:
    if what in experiment.serves:
      return experiment
  known = sorted(name for experiment in ALL for name in experiment.serves)
  raise errors.ConfigError(
    f"{what} has no small experiment; there are: {', '.join(known)}"
  )
