"""Averages of the parameters over training: exponential and uniform."""

from collections.abc import Callable
import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from vit_jax.core import errors
from vit_jax.core.duration import Duration
from vit_jax.optim.schedule import Step

_ONLY_WITH = {
  "decay": ("ema",),
  "warmup": ("ema",),
  "start": ("ema", "polyak"),
}


@dataclasses.dataclass(frozen=True)
class Average:
  """Which average of the parameters is kept beside them, if any.

  Attributes:
    kind: "ema" is a <- d a + (1 - d) p after each step; "polyak" is the uniform
      mean of the parameters after each step (Polyak and Juditsky, 1992).
    decay: the d of "ema".
    warmup: whether d is min(decay, (1 + t) / (10 + t)) at the t-th averaged
      step, so that the initial parameters are forgotten soon.
    start: when averaging begins; before, the average is a copy of the
      parameters.
  """

  kind: Literal["none", "ema", "polyak"] = "none"
  decay: float = 0.9999
  warmup: bool = False
  start: Duration = Duration(0.0, "steps")

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      kinds = _ONLY_WITH.get(field.name, (self.kind,))
      if self.kind not in kinds and value != field.default:
        raise errors.about(
          self,
          f"{{{field.name}}} has no effect with {{kind}}, only with"
          f" {' and '.join(kinds)}; leave it at {field.default}",
        )
    if not 0 < self.decay < 1:
      raise errors.about(
        self, "{decay} must lie between 0 and 1 (such as 0.9999)"
      )


def init(config: Average, params: Any) -> Any:
  """The average before the first step; an empty tree for kind "none"."""
  # A copy, so that both can be donated to the same step.
  return {} if config.kind == "none" else jax.tree.map(jnp.copy, params)


def make(
  config: Average, *, total_steps: int, batch_size: int, epoch_examples: int
) -> Callable[[Any, Any, Step], Any]:
  """The function `(average, params, step) -> average`, usable inside jit.

  `params` are the parameters after the update of `step`, counted from 0.

  Raises:
    ConfigError: the average would start after the run's end.
  """
  start = config.start.steps(
    batch_size=batch_size, epoch_examples=epoch_examples, total=total_steps
  )
  if start > 0 and start >= total_steps:
    raise errors.ConfigError(
      f"{{start}} is step {start} of {total_steps}: nothing would be averaged",
      {"start": config.start},
    )

  def weight(count: Integer[Array, ""]) -> Float[Array, ""]:
    """The share of the newest parameters, which is 1 before the start."""
    if config.kind == "polyak":
      return 1.0 / (1.0 + jnp.maximum(count, 0))
    decay = config.decay
    if config.warmup:
      decay = jnp.minimum(decay, (1.0 + count) / (10.0 + count))
    return jnp.where(count < 0, 1.0, 1.0 - decay)

  def update(average: Any, params: Any, step: Step) -> Any:
    if config.kind == "none":
      return average
    new = weight(jnp.asarray(step) - start)
    return jax.tree.map(
      lambda a, p: jnp.where(new == 1.0, p, a + new * (p - a)), average, params
    )

  return update
