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
# Config file of each data set, and the number of epochs that is its default.
_CONFIGS = {
  "ImageNet": ("configs/vit_i1k.py", "300"),
  "ImageNet-21k": ("configs/vit_i21k.py", "90"),
  "JFT-300M": ("configs/vit_jft.py", ""),
}
_PRIVATE = "JFT-300M is private to Google"
# Runs without settings in the paper, by data set, variant and epochs.
_UNPRINTED = {
  ("ImageNet-21k", "H/14", "90"): (
    "the paper prints no settings of H/14 on ImageNet-21k"
  ),
  **{
    ("JFT-300M", variant, "14"): (
      f"{_PRIVATE}; the paper prints no settings of this run"
    )
    for variant in ("R200x3", "R152x2")
  },
}
_BUCKET, _ZONE = "gs://BUCKET", "ZONE"


@dataclasses.dataclass(frozen=True)
class Pretraining:
  """A pre-training run, which is fine-tuned afterwards.

  Attributes:
    model: as the paper writes it.
    data: name of the pre-training data set: ImageNet (from scratch),
      ImageNet-21k or JFT-300M (or what `data=` of its config puts in place).
    epochs: length of the run.
    optim: the optimiser.
  """

  model: str
  data: str
  epochs: str
  optim: str = "adamw"

  @property
  def config(self) -> str:
    """Config file with its argument; "" if the paper prints no settings."""
    variant = costs.model_of(self.model)[1]
    if (self.data, variant, self.epochs) in _UNPRINTED:
      return ""
    file, epochs = _CONFIGS[self.data]
    arg = f"variant={variant}"
    if self.epochs != epochs:
      arg += f",epochs={self.epochs}"
    if self.optim != "adamw":
      arg += f",optim={self.optim}"
    return f"{file}:{arg}"

  @property
  def blocked(self) -> str:
    """Why nobody outside Google can run it; "" if anybody can."""
    key = (self.data, costs.model_of(self.model)[1], self.epochs)
    private = _PRIVATE if self.data == "JFT-300M" else ""
    return _UNPRINTED.get(key, private)

  @property
  def name(self) -> str:
    """Name of its workdir and its machines."""
    arg = self.config.partition(":")[2].replace("variant=", "")
    return re.sub(r"[^a-z0-9]+", "-", f"{self.data} {arg}".lower())

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
      f"checkpoint={_workdir(self.name)}{arg} --workdir=runs/{self.name}"
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
