"""Learning-rate schedules: multipliers of the peak learning rate."""

from collections.abc import Callable
import dataclasses
import itertools
import math
from typing import Literal, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Integer

from vit_jax.core import errors
from vit_jax.core.duration import Duration

# Counted from 0.
Step: TypeAlias = Integer[ArrayLike, ""]
# A step to the multiplier of the peak learning rate.
ScheduleFn: TypeAlias = Callable[[Step], Float[Array, ""]]

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
    decay: how the rate falls after the warm-up. "constant" does not fall;
      "rsqrt" is 1 / sqrt(1 + (steps since the warm-up + shift) / timescale).
    warmup: length of a linear rise from `warmup_start`, multiplied with the
      decay.
    warmup_start: where the warm-up begins, as a fraction of `peak_lr`.
    cooldown: length of a linear fall to 0 at the end of the run, multiplied
      with the decay.
    end_value: where "cosine" and "linear" end, as a fraction of `peak_lr`. An
      absolute end such as vision_transformer's 1e-5 is 1e-5 / peak_lr.
    power: exponent of the falling line of "linear", which makes it a
      polynomial.
    timescale: length scale of "rsqrt"; a longer one falls more slowly.
    shift: how far down its curve "rsqrt" starts, with a smaller peak. For a run
      that continues another one it is that one's steps since the warm-up.
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
        raise errors.about(
          self,
          f"{{{field.name}}} has no effect with {{decay}}, only with"
          f" {' and '.join(decays)}; leave it at {field.default}",
        )
    for broken, message in (
      (
        not 0 <= self.end_value <= 1,
        "{end_value} must be a fraction of peak_lr, from 0 to 1",
      ),
      (
        not 0 <= self.warmup_start < 1,
        "{warmup_start} must be a fraction of peak_lr, at least 0 and below 1",
      ),
      (
        self.warmup_start and self.warmup.is_zero(),
        "{warmup_start} has no effect with {warmup}; leave it at 0",
      ),
      (
        not 0 < self.power < math.inf,
        "{power} must be positive (1 is a line)",
      ),
      (
        self.decay == "rsqrt" and self.timescale.is_zero(),
        "{timescale} must be positive",
      ),
      (
        self.decay == "stairs" and not self.stairs,
        "{stairs} is empty; give (start, fraction) pairs, or use constant",
      ),
    ):
      if broken:
        raise errors.about(self, message)
    for start, fraction in self.stairs:
      try:
        Duration.parse(start)
      except errors.ConfigError as e:
        raise errors.ConfigError(
          f"{{stairs}}, {start!r}: {e}", {"stairs": self.stairs}
        ) from None
      if not fraction > 0:
        raise errors.about(
          self, f"{{stairs}}: the fraction {fraction} must be positive"
        )


def make(
  config: Schedule, *, total_steps: int, batch_size: int, epoch_examples: int
) -> ScheduleFn:
  """The function from a step to the multiplier of the peak learning rate.

  With s the step, W the warm-up, E the cooldown and T the total in steps it is

      decay((s - W) / (T - W)) * min(1, s / W) * min(1, (T - s) / E)

  as in big_vision's `create_learning_rate_schedule` with base 1, and times the
  peak as in vision_transformer's. The second factor begins at `warmup_start`.
  Usable inside and outside jit.

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
    raise errors.about(
      config,
      f"{{warmup}} and {{cooldown}} are {warmup} + {cooldown} ="
      f" {warmup + cooldown} of {total_steps} steps; shorten them or train"
      " longer",
    )
  decay = _decay(config, steps, warmup, total_steps)

  def schedule(step: Step) -> Float[Array, ""]:
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
) -> Callable[[Integer[Array, ""]], Float[Array, ""]]:
  """The decay alone, which starts when the warm-up ends."""
  end = config.end_value

  def left(step: Integer[Array, ""]) -> Float[Array, ""]:
    return 1.0 - jnp.clip((step - warmup) / (total_steps - warmup), 0.0, 1.0)

  if config.decay == "constant":
    return lambda step: jnp.ones_like(step, jnp.float32)
  if config.decay == "linear":
    return lambda step: end + (1.0 - end) * left(step) ** config.power
  if config.decay == "cosine":
    # Written with 1 - left it ends at exactly `end_value`.
    return lambda step: (
      end + (1.0 - end) * 0.5 * (1.0 + jnp.cos(jnp.pi * (1.0 - left(step))))
    )
  if config.decay == "rsqrt":
    scale, shift = steps(config.timescale), steps(config.shift)
    if not scale:
      raise errors.about(config, "{timescale} is less than one step")
    return lambda step: (
      1.0 / jnp.sqrt(1.0 + (jnp.maximum(step - warmup, 0) + shift) / scale)
    )
  starts = [steps(Duration.parse(start)) for start, _ in config.stairs]
  if any(b <= a for a, b in itertools.pairwise(starts)):
    raise errors.about(
      config, f"{{stairs}} start at steps {starts}, which do not increase"
    )
  values = [1.0, *(fraction for _, fraction in config.stairs)]

  def stairs(step: Integer[Array, ""]) -> Float[Array, ""]:
    passed = jnp.searchsorted(jnp.asarray(starts), step, side="right")
    return jnp.asarray(values, jnp.float32)[passed]

  return stairs
