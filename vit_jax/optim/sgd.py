"""SGD with momentum, as fine-tuning uses it (Section 4.1, arXiv:2010.11929)."""

import dataclasses
from typing import Literal

import optax

from vit_jax.core import errors
from vit_jax.optim import base


@dataclasses.dataclass(frozen=True)
class Config(base.Optimizer):
  """SGD. Differs from torch: weight decay does not pass through the momentum.

  Attributes:
    momentum: m <- momentum * m + gradient; 0 for plain SGD.
    nesterov: whether the update looks one step of the momentum ahead.
    accumulator_dtype: type of the stored momentum.
  """

  peak_lr: float = 0.03
  momentum: float = 0.9
  nesterov: bool = False
  accumulator_dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    super().__post_init__()
    valid = 0 <= self.momentum < 1
    base.check(self, "momentum", valid, "at least 0 and below 1")
    for field in ("nesterov", "accumulator_dtype"):
      value, default = getattr(self, field), getattr(Config, field)
      if not self.momentum and value != default:
        raise errors.about(
          self,
          f"{{{field}}} has no effect with {{momentum}}; leave it at {default}",
        )

  def scale_by(self, stacked: str) -> optax.GradientTransformation:
    del stacked  # Every number is scaled on its own.
    if not self.momentum:
      return optax.identity()
    return optax.trace(
      decay=self.momentum,
      nesterov=self.nesterov,
      accumulator_dtype=self.accumulator_dtype,
    )
