"""The training state, born sharded."""

from typing import Any

import flax.struct
import jax
import optax


@flax.struct.dataclass
class State:
  """Everything that training changes.

  Attributes:
    step: int32, optimiser steps done.
    params: the model's parameters, float32.
    opt_state: of the optax chain.
    task_state: the model's and the task's other variables.
    ema: averaged parameters, or empty.
    rng: uint32 words of the root key; never changes.
  """

  step: jax.Array
  params: Any
  opt_state: optax.OptState
  task_state: Any
  ema: Any
  rng: jax.Array
