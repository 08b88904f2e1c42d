"""Chooses the mesh for runtime.mesh=auto, from the devices of the run."""

import os
from typing import Any


def resolve(config: Any) -> str:
  """Puts the chosen mesh into the config, in place.

  Returns:
    The choice in words; "" if the config names its mesh.

  Raises:
    ConfigError: the run fits on no mesh of these devices.
  """
  if config.runtime.mesh != "auto":
    return ""
  import jax

  from vit_jax.cluster import processes
  from vit_jax.core import config as config_lib
  from vit_jax.plan import estimate, inputs, search
  from vit_jax.train.experiment import Experiment

  def choose() -> str:
    experiment = config_lib.build(Experiment, config)
    planned = inputs.make_up(experiment, 0)
    estimator = estimate.Estimator(planned.experiment, planned.inputs)
    room = _bytes_of_a_device(jax.local_devices())
    return str(search.auto_mesh(estimator, jax.device_count(), room))

  config.runtime.mesh = processes.on_first(choose)
  return f"runtime.mesh=auto: {config.runtime.mesh}"


def _bytes_of_a_device(devices: list[Any]) -> int:
  stats = devices[0].memory_stats()
  if stats:
    return stats["bytes_limit"]
  # CPU devices share the machine's memory.
  machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  return machine // len(devices)
