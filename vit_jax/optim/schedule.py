"""Learning-rate schedules: multipliers of the peak learning rate."""

from collections.abc import Callable
import dataclasses
import itertools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

from vit_jax.core import errors
from vit_jax.core.duration import Duration

# A step, counted from 0, to the multiplier of the peak learning rate.
ScheduleFn = Callable[[Any], jax.Array]

_ONLY_WITH = {
  "end_value": ("cosine", "linear"),
  "power": ("linear",),
  "timescale": ("rsqrt",),
  "shift": ("rsqrt",),
  "stairs": ("stairs",),
}


@dataclasses.dataclass(frozen=True)
class Schedule:
  """The shape of the learning rate over a run; its height is `peak_lr`.

  Attributes:
    decay: how the rate falls after the warm-up. "constant" does not; "rsqrt"
      is 1 / sqrt(1 + (steps since the warm-up + shift) / timescale).
    warmup: linear rise from `warmup_start`, multiplied with the decay.
    warmup_start: where the warm-up begins, as a fraction of `peak_lr`.
    cooldown: linear fall to 0 at the end of the run, multiplied with the decay.
    end_value: where cosine and linear end, as a fraction of `peak_lr`. An
      absolute end such as vision_transformer's 1e-5 is 1e-5 / peak_lr.
    power: of linear; what is left to fall is raised to it, which makes a
      polynomial of the line.
    timescale: of rsqrt; longer is slower.
    shift: of rsqrt; starts so far down the curve, with a smaller peak. A run
      that goes on where another was cut off takes its steps since the warm-up.
    stairs: (start, fraction of `peak_lr` from there on) such as
      (("10 epochs", 0.1), ("23 epochs", 0.01)), in order.
  """

  decay: Literal["cosine", "linear", "rsqrt", "constant", "stairs"] = "cosine"
  warmup: Duration = Duration(0.0, "steps")
  warmup_start: float = 0.0
  cooldown: Duration = Duration(0.0, "steps")
  end_value: float = 0.0
  power: float = 1.0
  timescale: Duration = Duration(10_000.0, "steps")
  shift: Duration = Duration(0.0, "steps")
  stairs: tuple[tuple[str, float], ...] = ()

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      decays = _ONLY_WITH.get(field.name, (self.decay,))
      if self.decay not in decays and value != field.default:
        raise errors.ConfigError(
          f"{{{field.name}}} has no effect with {{decay}}, only with"
          f" {' and '.join(decays)}; leave it at {field.default}",
          {field.name: value, "decay": self.decay},
        )
    if not 0 <= self.end_value <= 1:
      raise errors.ConfigError(
        "{end_value} must be a fraction of peak_lr, from 0 to 1",
        {"end_value": self.end_value},
      )
    if not 0 <= self.warmup_start < 1:
      raise errors.ConfigError(
        "{warmup_start} must be a fraction of peak_lr, at least 0 and below 1",
        {"warmup_start": self.warmup_start},
      )
    if self.warmup_start and self.warmup.is_zero():
      raise errors.ConfigError(
        "{warmup_start} has no effect with {warmup}; leave it at 0",
        {"warmup_start": self.warmup_start, "warmup": self.warmup},
      )
    if not 0 < self.power < math.inf:
      raise errors.ConfigError(
        "{power} must be positive (1 is a line)", {"power": self.power}
      )
    if self.decay == "rsqrt" and self.timescale.is_zero():
      raise errors.ConfigError(
        "{timescale} must be positive", {"timescale": self.timescale}
      )
    if self.decay == "stairs" and not self.stairs:
      raise errors.ConfigError(
        "{stairs} is empty; give (start, fraction) pairs, or use constant",
        {"stairs": self.stairs},
      )
    for start, fraction in self.stairs:
      try:
        Duration.parse(start)
      except errors.ConfigError as e:
        raise errors.ConfigError(
          f"{{stairs}}, {start!r}: {e}", {"stairs": self.stairs}
        ) from None
      if not fraction > 0:
        raise errors.ConfigError(
          f"{{stairs}}: the fraction {fraction} must be positive",
          {"stairs": self.stairs},
        )


def make(
  config: Schedule, *, total_steps: int, batch_size: int, epoch_examples: int
) -> ScheduleFn:
  """The function from a step to the multiplier of the peak learning rate.

  With s the step, W the warm-up, E the cooldown and T the total in steps it is

      decay((s - W) / (T - W)) * min(1, s / W) * min(1, (T - s) / E)

  which is big_vision's `create_learning_rate_schedule` with base 1 and, times
  the peak, vision_transformer's. A `warmup_start` is where the second factor
  begins. Usable in and out of jit.

  Raises:
    ConfigError: warm-up and cooldown do not fit into the run, stairs are not
      in order, or the timescale is less than a step.
  """

  def steps(length: Duration) -> int:
    return length.steps(
      batch_size=batch_size, epoch_examples=epoch_examples, total=total_steps
    )

  warmup, cooldown = steps(config.warmup), steps(config.cooldown)
  if warmup + cooldown > total_steps or 0 < warmup == total_steps:
    raise errors.ConfigError(
      f"{{warmup}} and {{cooldown}} are {warmup} + {cooldown} ="
      f" {warmup + cooldown} of {total_steps} steps; shorten them or train"
      " longer",
      {"warmup": config.warmup, "cooldown": config.cooldown},
    )
  decay = _decay(config, steps, warmup, total_steps)

  def schedule(step: Any) -> jax.Array:
    step = jnp.asarray(step)
    value = decay(step)
    if warmup:
      start = config.warmup_start
      value *= start + (1.0 - start) * jnp.minimum(1.0, step / warmup)
    if cooldown:
      value *= jnp.clip((total_steps - step) / cooldown, 0.0, 1.0)
    return value.astype(jnp.float32)

  return schedule


def _decay(
  config: Schedule,
  steps: Callable[[Duration], int],
  warmup: int,
  total_steps: int,
) -> Callable[[jax.Array], jax.Array]:
  """The decay alone, which starts when the warm-up ends."""
  end = config.end_value

  def left(step: jax.Array) -> jax.Array:
    return 1.0 - jnp.clip((step - warmup) / (total_steps - warmup), 0.0, 1.0)

  if config.decay == "constant":
    return lambda step: jnp.ones_like(step, jnp.float32)
  if config.decay == "linear":
    return lambda step: end + (1.0 - end) * left(step) ** config.power
  if config.decay == "cosine":
    # cos(pi * (1 - left)): written so, it ends at exactly `end_value`.
    return lambda step: (
      end + (1.0 - end) * 0.5 * (1.0 + jnp.cos(jnp.pi * (1.0 - left(step))))
    )
  if config.decay == "rsqrt":
    scale, shift = steps(config.timescale), steps(config.shift)
    if not scale:
      raise errors.ConfigError(
        "{timescale} is less than one step", {"timescale": config.timescale}
      )
    return lambda step: (
      1.0 / jnp.sqrt(1.0 + (jnp.maximum(step - warmup, 0) + shift) / scale)
    )
  starts = [steps(Duration.parse(start)) for start, _ in config.stairs]
  if any(b <= a for a, b in itertools.pairwise(starts)):
    raise errors.ConfigError(
      f"{{stairs}} start at steps {starts}, which do not increase",
      {"stairs": config.stairs},
    )
  values = [1.0, *(fraction for _, fraction in config.stairs)]

  def stairs(step: jax.Array) -> jax.Array:
    passed = jnp.searchsorted(jnp.asarray(starts), step, side="right")
    return jnp.asarray(values, jnp.float32)[passed]

  return stairs
