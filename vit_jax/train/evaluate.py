"""Scores a checkpoint with a config's evaluators."""

from typing import Any

import jax
import jax.numpy as jnp

from vit_jax.checkpoints import native
from vit_jax.core import config as config_lib, mesh as mesh_lib, rng
from vit_jax.train import experiment as experiment_lib, setup


def evaluate(
  checkpoint: str, config: config_lib.ConfigDict | None = None
) -> dict[str, dict[str, float]]:
  """The scores of every evaluator.

  Args:
    checkpoint: a workdir, its folder of checkpoints, or one step.
    config: None takes the config that was saved with the checkpoint.

  Raises:
    ConfigError: the config breaks a rule or has no evaluator.
    CheckpointError: no good checkpoint, or not one of this model.
  """
