"""AdamW: Adam with decoupled weight decay (arXiv:1711.05101)."""

import dataclasses
from typing import Literal

import optax

from vit_jax.optim import base


@dataclasses.dataclass(frozen=True)
class Config(base.Optimizer):
  """Adam; with `weight_decay` it is AdamW.

  Attributes:
    b1: decay of the first moment.
    b2: decay of the second moment.
    eps: added to the root of the second moment.
    mu_dtype: type of the stored first moment; the second is always float32.
  """

  b1: float = 0.9
  b2: float = 0.999
  eps: float = 1e-8
  mu_dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    super().__post_init__()
    base.check(self, "b1", 0 <= self.b1 < 1, "at least 0 and below 1")
    base.check(self, "b2", 0 <= self.b2 < 1, "at least 0 and below 1")
    base.check(self, "eps", self.eps > 0, "positive")

  def scale_by(self, stacked: str) -> optax.GradientTransformation:
    del stacked  # Every number is scaled on its own.
    return optax.scale_by_adam(
      b1=self.b1, b2=self.b2, eps=self.eps, mu_dtype=self.mu_dtype
    )
