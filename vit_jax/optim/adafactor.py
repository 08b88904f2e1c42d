"""Adafactor in the form of "Scaling Vision Transformers" (arXiv:2106.04560)."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import optax

from vit_jax.core import errors, tree
from vit_jax.optim import base, layers, schedule


@dataclasses.dataclass(frozen=True)
class Config(base.Optimizer):
  """Factored second moments and a first moment in half precision.

  Differs from arXiv:1804.04235 as big_vision does: the second moment's decay
  is capped, updates are not clipped and not scaled by the parameters' size,
  and there is a first moment, without bias correction.

  Attributes:
    b1: decay of the first moment; 0 for none.
    mu_dtype: type of the stored first moment.
    decay_rate: c; the second moment's decay is 1 - t^-c at the t-th step.
    b2_cap: largest decay of the second moment.
    eps: added to the squared gradient.
    min_factored_dim: second moments are factored over the two largest
      dimensions of a tensor if both are at least this large.
    clip_rms: largest root mean square of a tensor's update before the first
      moment; 0 does not clip.
  """

  b1: float = 0.9
  mu_dtype: Literal["float32", "bfloat16"] = "bfloat16"
  decay_rate: float = 0.8
  b2_cap: float = 0.999
  eps: float = 1e-30
  min_factored_dim: int = 32
  clip_rms: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    base.check(self, "b1", 0 <= self.b1 < 1, "at least 0 and below 1")
    base.check(self, "decay_rate", self.decay_rate > 0, "positive")
    base.check(self, "b2_cap", 0 < self.b2_cap < 1, "between 0 and 1")
    base.check(self, "eps", self.eps > 0, "positive")
    base.check(self, "min_factored_dim", self.min_factored_dim > 0, "positive")
    base.check(self, "clip_rms", self.clip_rms >= 0, "positive, or 0 for none")
    default = Config.mu_dtype
    if not self.b1 and self.mu_dtype != default:
      raise errors.about(
        self, f"{{mu_dtype}} has no effect with {{b1}}; leave it at {default}"
      )

  def scale_by(self, stacked: str) -> optax.GradientTransformation:
    second = _scale_by_factored_rms(self, stacked)
    if not self.b1:
      return second
    first = optax.ema(self.b1, debias=False, accumulator_dtype=self.mu_dtype)
    return optax.chain(second, first)


def _scale_by_factored_rms(
  config: Config, stacked: str
) -> optax.GradientTransformation:
  """optax's transformation, applied to each layer of a stacked tensor."""

  def decay(step: schedule.Step, rate: Any) -> Float[Array, ""]:
    t = jnp.asarray(step, jnp.float32) + 1.0
    return jnp.minimum(config.b2_cap, 1.0 - t**-rate)

  single: Any = optax.scale_by_factored_rms(
    decay_rate=config.decay_rate,
    min_dim_size_to_factor=config.min_factored_dim,
    epsilon=config.eps,
    decay_rate_fn=decay,
  )
  clip: Any = optax.clip_by_block_rms(config.clip_rms)

  def each_layer(f: Any, name: str, *tensors: Any) -> Any:
    return (jax.vmap(f) if layers.prefix(name, stacked) else f)(*tensors)

  def init(params: Any) -> optax.FactoredState:
    def moment(kind: str) -> Any:
      return tree.map_named(
        lambda name, p: each_layer(
          lambda x: getattr(single.init(x), kind), name, p
        ),
        params,
      )

    kinds = ("v_row", "v_col", "v")
    return optax.FactoredState(jnp.zeros([], jnp.int32), *map(moment, kinds))

  def update(
    updates: Any, state: Any, params: Any = None
  ) -> tuple[Any, optax.FactoredState]:
    def rescale(
      gradient: Float[Array, "*shape"],
      param: Float[Array, "*shape"],
      *moments: Float[Array, "..."],
    ) -> tuple[Float[Array, "..."], ...]:
      old = optax.FactoredState(state.count, *moments)
      out, new = single.update(gradient, old, param)
      if config.clip_rms:
        out, _ = clip.update(out, optax.EmptyState())
      return out, new.v_row, new.v_col, new.v

    results = tree.map_named(
      lambda name, *tensors: each_layer(rescale, name, *tensors),
      *(updates, params, state.v_row, state.v_col, state.v),
    )
    out, *moments = jax.tree.transpose(
      jax.tree.structure(updates), jax.tree.structure((0,) * 4), results
    )
    return out, optax.FactoredState(state.count + 1, *moments)

  return optax.GradientTransformation(init, update)
