"""A question of the paper asked again with small models, on real images."""

from collections.abc import Callable, Mapping
import dataclasses
import pathlib
from typing import Any, Literal

from vit_jax.core import config as config_lib, errors
from vit_jax.plan import flops
from vit_jax.reproduce import claims as claims_lib, recipe
from vit_jax.sweeps import grid, sweep as sweep_lib
from vit_jax.train import experiment as experiment_lib, setup

RECIPE = str(pathlib.Path(__file__).with_name("recipe.py"))
SEEDS = (0, 1, 2)
RATE = "optim.peak_lr"
ADAM_RATES = (1e-3, 3e-3, 1e-2)
# What every one of them changes.
SCALE = (
  "Fashion-MNIST (55,000 images of 28 px) instead of JFT or ImageNet; models of"
  " 0.1 M parameters instead of 86 M and more; 300 steps of 128 images"
)
UPSTREAM = "accuracy on Fashion-MNIST's test images instead of 5-shot ImageNet"
# Forward and backward pass, by the paper's formula (Table 6).
_PASSES = 3
Axis = Literal["", "images", "compute", "rate"]


@dataclasses.dataclass(frozen=True)
class Arm:
  """One thing that is compared.

  Attributes:
    name: in tables.
    setting: what makes it, see `sweeps.grid`.
    series: the line of the plot that it is a point of.
    rates: peak learning rates to choose from; as many for every arm.
  """

  name: str
  setting: grid.Setting
  series: str
  rates: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Miniature:
  """An experiment; what it is, and not how far it is.

  Attributes:
    name: of its folder.
    serves: what of the paper it asks again, such as "table=8".
    question: in a sentence.
    changed: what differs from the paper.
    arms: what is compared.
    claims: of the paper, to be judged.
    axis: what an arm's place on the plot is.
    metrics: scores of the table; the first is drawn.
    common: settings of every run.
  """

  name: str
  serves: tuple[str, ...]
  question: str
  changed: str
  arms: tuple[Arm, ...]
  claims: tuple[claims_lib.Claim, ...]
  axis: Axis = ""
  metrics: tuple[str, ...] = ("test/top_1",)
  common: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    if len({len(arm.rates) for arm in self.arms}) != 1:
      raise errors.ConfigError(
        f"{self.name}: every arm must try as many learning rates"
      )

  @property
  def tuned(self) -> bool:
    """Whether a learning rate is chosen on held-out images."""
    return bool(self.arms[0].rates)

  def sweep(self, extra: grid.Setting) -> sweep_lib.Sweep:
    """Its runs: rates on held-out images, then three seeds; or seeds alone.

    Args:
      extra: settings that are not part of what a run is, such as folders.
    """
    same = {**self.common, **extra}

    def whole(setting: grid.Setting) -> grid.Setting:
      """With the folders, also in what a run starts from."""
      return {
        **same,
        **{
          k: dataclasses.replace(v, setting={**v.setting, **extra})
          if isinstance(v, sweep_lib.Trained)
          else v
          for k, v in setting.items()
        },
      }

    seeds = grid.axis(":seed", SEEDS)
    if not self.tuned:
      settings = tuple(whole(arm.setting) for arm in self.arms)
      return sweep_lib.Sweep(
        config=RECIPE, settings=grid.product(settings, seeds)
      )
    settings = tuple(
      {**whole(arm.setting), ":scored": "val", RATE: rate}
      for arm in self.arms
      for rate in arm.rates
    )
    final = grid.product(grid.axis(":scored", ("test",)), seeds)
    return sweep_lib.Sweep(
      config=RECIPE,
      settings=settings,
      metric="val/top_1",
      tuned=(RATE,),
      final=final,
    )

  def arm_of(self, setting: Mapping[str, Any]) -> Arm:
    """The arm that a run's setting belongs to."""
    chosen = {":scored", RATE} if self.tuned else set()
    others = {":seed", *self.common, *chosen}
    own = {
      key: value
      for key, value in setting.items()
      if key not in others and not key.startswith("runtime.")
    }
    # What a run starts from is told by its name.
    return next(arm for arm in self.arms if _text(arm.setting) == _text(own))

  def x(self) -> dict[str, float]:
    """Place of each arm on the axis: images, FLOPs of training, or the rate."""
    places = {
      "": lambda i, _: float(i),
      "images": lambda _, arm: float(arm.setting[":images"]),
      "compute": lambda _, arm: training_flops({**self.common, **arm.setting}),
      "rate": lambda _, arm: float(arm.setting[RATE]),
    }
    place: Callable[[int, Arm], float] = places[self.axis]
    return {arm.name: place(i, arm) for i, arm in enumerate(self.arms)}

  @property
  def x_label(self) -> str:
    """Of the plot."""
    return {
      "": "",
      "images": "training images",
      "compute": "FLOPs of training",
      "rate": "peak learning rate",
    }[self.axis]


def _text(setting: Mapping[str, Any]) -> dict[str, str]:
  return {key: str(value) for key, value in setting.items()}


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
