"""Pre-training runs on TPU slices: their configs, commands and core-days."""

import dataclasses
import functools
import pathlib
import re

from vit_jax.core import config as config_lib, errors
from vit_jax.plan import estimate, inputs as inputs_lib, search, topology
from vit_jax.reproduce import costs
from vit_jax.train import experiment as experiment_lib

ROOT = pathlib.Path(__file__).parents[2]
_DAY_S = 86_400
# Slices on which the models fit (docs/pod_plans.md), larger ones for long runs.
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
# Training images of data sets that the catalog does not know: 303 million, as
# the paper says, and ImageNet-21k without its held-out images.
_EXAMPLES = {"JFT-300M": 303_000_000, "ImageNet-21k": 14_145_922}
_PRIVATE = "JFT-300M is private to Google"
_BUCKET, _ZONE = "gs://BUCKET", "ZONE"


@dataclasses.dataclass(frozen=True)
class Pretraining:
  """A pre-training run, which is fine-tuned afterwards.

  Attributes:
    model: as the paper writes it.
    data: name of the pre-training data set.
    config: config file with its argument; "" if the paper prints no settings.
    blocked: why nobody outside Google can run it; "" if anybody can.
  """

  model: str
  data: str
  config: str
  blocked: str = ""

  @property
  def name(self) -> str:
    """Name of its workdir and its machines."""
    arg = self.config.partition(":")[2].replace("variant=", "")
    return re.sub(r"[^a-z0-9]+", "-", f"{self.data} {arg}".lower())

  @property
  def workdir(self) -> str:
    """Folder that it is trained in."""
    return _workdir(self.name)

  @property
  def slice(self) -> str:
    """The TPU slice that it fits on, such as "v3:16x16"."""
    return slice_of(self.model)

  def command(self) -> str:
    """The launch command."""
    return train(self.name, self.slice, self.config)

  def finetune(self, dataset: str, arg: str = "") -> str:
    """The command of the fine-tuning sweep (Table 4) that follows it."""
    family, variant, _ = costs.model_of(self.model)
    return (
      "python -m vit_jax sweep run --config=configs/sweeps/transfer.py:"
      f"model={family},variant={variant},dataset={dataset},"
      f"checkpoint={self.workdir}{arg} --workdir=runs/{self.name}"
    )

  def examples(self) -> int:
    """Number of training images, or 0 if the catalog of data sets knows it."""
    return _EXAMPLES.get(self.data, 0)


def checkout_file(path: str) -> str:
  """Path of a file of the repository that the installed package lacks.

  Args:
    path: relative to the root of the repository, such as "configs/vit_i1k.py".

  Raises:
    ConfigError: neither the package nor the current folder is in a checkout.
  """
  for root in (ROOT, pathlib.Path.cwd()):
    if (root / path).is_file():
      return str(root / path)
  raise errors.ConfigError(
    f"{path} is not part of the installed package; run this command in a"
    " checkout of the repository"
  )


def slice_of(model: str) -> str:
  """The TPU slice that a model fits on, such as "v3:16x16"."""
  _, variant, _ = costs.model_of(model)
  size = re.split("[/x]", variant.split("+")[-1])[0]
  return _SLICES.get(variant) or _SLICES[size]


def train(name: str, tpu_slice: str, config: str, *flags: str) -> str:
  """The command that trains on a TPU slice."""
  devices = topology.Topology.parse(tpu_slice).num_devices
  command = (
    f"python launch/tpu_vm.py train --name={name} --zone={_ZONE}"
    f" --type=v3-{devices} -- --config={config} --workdir={_workdir(name)}"
    " --config.runtime.mesh=auto"
  )
  return " ".join((command, *flags))


def _workdir(name: str) -> str:
  return f"{_BUCKET}/{name}"


def imagenet(model: str) -> Pretraining:
  """Training from scratch on ImageNet, 300 epochs."""
  variant = costs.model_of(model)[1]
  return Pretraining(model, "ImageNet", f"configs/vit_i1k.py:variant={variant}")


def imagenet21k(model: str) -> Pretraining:
  """Pre-training on ImageNet-21k, 90 epochs."""
  variant = costs.model_of(model)[1]
  if variant == "H/14":
    reason = "the paper prints no settings of H/14 on ImageNet-21k"
    return Pretraining(model, "ImageNet-21k", "", reason)
  return Pretraining(
    model, "ImageNet-21k", f"configs/vit_i21k.py:variant={variant}"
  )


def jft(model: str, epochs: str, optim: str = "adamw") -> Pretraining:
  """Pre-training on JFT-300M, or on `data=` of configs/vit_jft.py."""
  variant = costs.model_of(model)[1]
  if (variant, epochs) in (("R200x3", "14"), ("R152x2", "14")):
    reason = f"{_PRIVATE}; the paper prints no settings of this run"
    return Pretraining(model, "JFT-300M", "", reason)
  config = f"configs/vit_jft.py:variant={variant},epochs={epochs}"
  # Adam is the default of that config.
  config += f",optim={optim}" if optim != "adamw" else ""
  return Pretraining(model, "JFT-300M", config, _PRIVATE)


@functools.cache
def core_days(config: str, tpu_slice: str, examples: int) -> float:
  """A lower bound of a run's devices x days, without compiling its step.

  Args:
    config: config file with its argument.
    tpu_slice: such as "v3:16x16".
    examples: size of the training split, or 0 if the catalog knows it.

  Raises:
    ConfigError: the config file is not installed.
  """
  path, _, arg = config.partition(":")
  loaded = config_lib.load(checkout_file(path), arg)
  experiment = config_lib.build(experiment_lib.Experiment, loaded)
  planned = inputs_lib.make_up(experiment, examples)
  estimator = estimate.Estimator(planned.experiment, planned.inputs)
  parsed = topology.Topology.parse(tpu_slice)
  devices, chip = parsed.num_devices, parsed.chip
  mesh = search.auto_mesh(estimator, devices, chip.hbm_bytes)
  fitting = search.with_runtime(planned.experiment, mesh=mesh)
  step_s = max(estimator(fitting, devices).times(chip).values())
  return devices * planned.steps * step_s / _DAY_S
