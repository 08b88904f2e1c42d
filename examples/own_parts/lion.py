"""An optimiser: Lion (arXiv:2302.06675)."""

import dataclasses

import optax

from vit_jax.optim import base


@dataclasses.dataclass(frozen=True)
class Config(base.Optimizer):
  """Lion, whose updates are signs.

  Attributes: those of `base.Optimizer`, and

    b1: decay of the momentum in the update, whose sign is used.
    b2: decay of the momentum in the state.
  """

  peak_lr: float = 1e-4
  b1: float = 0.9
  b2: float = 0.99

  def __post_init__(self):
    super().__post_init__()
    for field in ("b1", "b2"):
      valid = 0 <= getattr(self, field) < 1
      base.check(self, field, valid, "at least 0 and below 1")

  def scale_by(self, stacked: str) -> optax.GradientTransformation:
    del stacked  # Every number is updated on its own.
    return optax.scale_by_lion(self.b1, self.b2)
