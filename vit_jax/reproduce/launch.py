"""The runs behind a table on real hardware: configs, commands, core-days."""

import dataclasses
import functools
import pathlib
import re

from vit_jax.core import config as config_lib
from vit_jax.plan import estimate, inputs as inputs_lib, search, topology
from vit_jax.reproduce import costs
from vit_jax.train import experiment as experiment_lib

ROOT = pathlib.Path(__file__).parents[2]
_DAY_S = 86_400
# Slices on which the models fit (docs/pod_plans.md), larger ones for more work.
_SLICES = {
  "B": "v3:4x4",
  "L": "v3:16x16",
  "H": "v3:16x32",
  "R50": "v3:4x4",
  "R50x2": "v3:8x8",
  "R50+B/16": "v3:8x8",
  "R101": "v3:8x8",
  "R152": "v3:16x16",
  "R200": "v3:16x16",
}
# Training images that the catalog does not know: the paper's 303 million, and
# ImageNet-21k without what is held out.
_EXAMPLES = {"JFT-300M": 303_000_000, "ImageNet-21k": 14_145_922}
_PRIVATE = "JFT-300M is private to Google"
_BUCKET, _ZONE = "gs://BUCKET", "ZONE"


@dataclasses.dataclass(frozen=True)
class Pretraining:
  """A run that others start from.

  Attributes:
    model: as the paper writes it.
    data: the pre-training set.
    config: file and argument; "" where the paper prints no settings.
    blocked: why it cannot be run in public; "" where it can.
  """

  model: str
  data: str
  config: str
  blocked: str = ""

  @property
  def name(self) -> str:
    """Of its workdir and its machines."""
    arg = self.config.partition(":")[2].replace("variant=", "")
    return re.sub(r"[^a-z0-9]+", "-", f"{self.data} {arg}".lower())

  @property
  def workdir(self) -> str:
    """Where it is trained."""
    return _workdir(self.name)

  @property
  def slice(self) -> str:
    """Where it fits, as `plan` writes it."""
    return slice_of(self.model)

  def command(self) -> str:
    """The launch command."""
    return train(self.name, self.slice, self.config)

  def finetune(self, dataset: str, arg: str = "") -> str:
    """The sweep of Table 4 that follows it."""
    family, variant, _ = costs.model_of(self.model)
    return (
      "python -m vit_jax sweep run --config=configs/sweeps/transfer.py:"
      f"model={family},variant={variant},dataset={dataset},"
      f"checkpoint={self.workdir}{arg} --workdir=runs/{self.name}"
    )

  def examples(self) -> int:
    """Training images, where the catalog does not know them; else 0."""
    return _EXAMPLES.get(self.data, 0)


def slice_of(model: str) -> str:
  """Where a model fits, as `plan` writes it."""
  _, variant, _ = costs.model_of(model)
  size = re.split("[/x]", variant.split("+")[-1])[0]
  return _SLICES.get(variant) or _SLICES[size]


def train(name: str, where: str, config: str, *flags: str) -> str:
  """The command that trains on a slice of TPUs."""
  devices = topology.Topology.parse(where).num_devices
  words = (
    f"python launch/tpu_vm.py train --name={name} --zone={_ZONE}"
    f" --type=v3-{devices} -- --config={config} --workdir={_workdir(name)}",
    "--config.runtime.mesh=auto",
    *flags,
  )
  return " ".join(words)


def _workdir(name: str) -> str:
  return f"{_BUCKET}/{name}"


def imagenet(model: str) -> Pretraining:
  """From scratch on ImageNet, 300 epochs."""
  variant = costs.model_of(model)[1]
  return Pretraining(model, "ImageNet", f"configs/vit_i1k.py:variant={variant}")


def imagenet21k(model: str) -> Pretraining:
  """On ImageNet-21k, 90 epochs."""
  variant = costs.model_of(model)[1]
  if variant == "H/14":
    reason = "the paper prints no settings of H/14 on ImageNet-21k"
    return Pretraining(model, "ImageNet-21k", "", reason)
  return Pretraining(
    model, "ImageNet-21k", f"configs/vit_i21k.py:variant={variant}"
  )


def jft(model: str, epochs: str, optim: str = "adamw") -> Pretraining:
  """On JFT-300M, or what takes its place (`data=` of configs/vit_jft.py)."""
  variant = costs.model_of(model)[1]
  if (variant, epochs) in (("R200x3", "14"), ("R152x2", "14")):
    reason = f"{_PRIVATE}; the paper prints no settings of this run"
    return Pretraining(model, "JFT-300M", "", reason)
  config = f"configs/vit_jft.py:variant={variant},epochs={epochs}"
  # Adam is that config's own choice.
  config += f",optim={optim}" if optim != "adamw" else ""
  return Pretraining(model, "JFT-300M", config, _PRIVATE)


@functools.cache
def core_days(config: str, where: str, examples: int) -> float:
  """Devices x days of a run at what limits its step, without compiling.

  Args:
    config: file and argument.
    where: a slice, as `plan` writes it.
    examples: of the training split, where the catalog knows none; else 0.
  """
  path, _, arg = config.partition(":")
  loaded = config_lib.load(str(ROOT / path), arg)
  experiment = config_lib.build(experiment_lib.Experiment, loaded)
  planned = inputs_lib.make_up(experiment, examples)
  estimator = estimate.Estimator(planned.experiment, planned.inputs)
  place = topology.Topology.parse(where)
  devices, chip = place.num_devices, place.chip
  mesh = search.auto_mesh(estimator, devices, chip.hbm_bytes)
  runtime = dataclasses.replace(planned.experiment.runtime, mesh=mesh)
  fitting = dataclasses.replace(planned.experiment, runtime=runtime)
  step_s = max(estimator(fitting, devices).times(chip).values())
  return devices * planned.steps * step_s / _DAY_S
