"""The training state, born sharded."""

import dataclasses
from typing import Any

from flax import struct
import jax
import optax

from vit_jax.tasks import base as task_base


class State(struct.PyTreeNode):
  """Everything that training changes.

  Attributes:
    step: int32, optimiser steps done.
    params: the model's parameters, float32.
    opt_state: state of the optax chain.
    task_state: the model's and the task's other variables.
    ema: averaged parameters, or empty.
    rng: uint32 words of the root key; never changes.
    weights: variables of other models that the task needs; they never change
      and are not saved.
  """

  step: jax.Array
  params: Any
  opt_state: optax.OptState
  task_state: Any
  ema: Any
  rng: jax.Array
  weights: Any = dataclasses.field(default_factory=dict)

  def variables(self) -> task_base.Variables:
    """What the task sees of the state."""
    return task_base.Variables(
      self.params, self.ema, self.task_state, self.weights
    )
