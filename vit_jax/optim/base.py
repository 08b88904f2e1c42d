"""The contract of an optimiser, and the chain of steps around its rule.

An optimiser is a module of this folder with a frozen dataclass `Config` that
derives from `Optimizer`, adds fields of its own (documented, and checked in
`__post_init__` after the inherited ones) and defines `scale_by`, its rule. All
else is here and the same for every optimiser: `make` puts clipping, weight
decay, learning rates and freezing around the rule. The rule's state consists of
counts, tensors of the shape of their parameter, and smaller statistics.
"""

import abc
from collections.abc import Mapping
import dataclasses
import math
import re
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jaxtyping import Array, Float, Int, Shaped
import numpy as np
import optax

from vit_jax.core import errors, mesh as mesh_lib, tree
from vit_jax.optim import ema, layers, schedule as schedule_lib

_ByName: TypeAlias = dict[str, Shaped[np.ndarray, "..."]]


@dataclasses.dataclass(frozen=True)
class Optimizer(abc.ABC):
  """Fields of every optimiser.

  Patterns are regexes that match whole names of parameters, or of a layer of
  stacked parameters (see `layers`). Each must match something.

  Attributes:
    peak_lr: learning rate at the height of the schedule.
    schedule: multiplier of `peak_lr` over the run.
    clip_norm: largest global norm of the gradients, without those of frozen
      parameters; 0 does not clip.
    weight_decay: decoupled weight decay (Loshchilov and Hutter, 2019).
    weight_decay_scaling: what the decay is multiplied by. "learning_rate" is
      the AdamW of torch and optax, and of the 0.1 in Table 3 of
      arXiv:2010.11929; "schedule" is big_vision's, where 1e-4 at a `peak_lr` of
      1e-3 has the same effect. `layer_decay` and `lr_multipliers` are part of
      the learning rate.
    weight_decay_mask: patterns of the parameters that decay.
    weight_decay_multipliers: (pattern, multiplier) of the decay of parameters
      in the mask; the first match wins.
    frozen: patterns of the parameters that never change.
    layer_decay: the learning rate of a layer divided by that of the layer above
      it, see `layers.decayed`; with 1 all are the same.
    lr_multipliers: (pattern, multiplier) of the learning rate; the first match
      wins.
    average: which average of the parameters is kept beside them.
  """

  peak_lr: float = 1e-3
  schedule: schedule_lib.Schedule = schedule_lib.Schedule()
  clip_norm: float = 0.0
  weight_decay: float = 0.0
  weight_decay_scaling: Literal["learning_rate", "schedule"] = "learning_rate"
  weight_decay_mask: tuple[str, ...] = (".*/kernel",)
  weight_decay_multipliers: tuple[tuple[str, float], ...] = ()
  frozen: tuple[str, ...] = ()
  layer_decay: float = 1.0
  lr_multipliers: tuple[tuple[str, float], ...] = ()
  average: ema.Average = ema.Average()

  def __post_init__(self):
    check(self, "peak_lr", self.peak_lr > 0, "positive")
    check(self, "clip_norm", self.clip_norm >= 0, "positive, or 0 for none")
    check(self, "weight_decay", self.weight_decay >= 0, "positive or 0")
    check(
      self,
      "weight_decay_mask",
      bool(self.weight_decay_mask) or not self.weight_decay,
      "not empty; for no decay, weight_decay=0",
    )
    check(
      self,
      "weight_decay_multipliers",
      all(0 < value < math.inf for _, value in self.weight_decay_multipliers),
      "positive; for no decay, leave parameters out of weight_decay_mask",
    )
    if self.weight_decay_multipliers and not self.weight_decay:
      raise errors.about(
        self,
        "{weight_decay_multipliers} have no effect with {weight_decay}; leave"
        " them empty",
      )
    check(
      self,
      "layer_decay",
      0 < self.layer_decay <= 1,
      "above 0 and at most 1 (such as 0.75; 1 is none)",
    )
    check(
      self,
      "lr_multipliers",
      all(0 < value < math.inf for _, value in self.lr_multipliers),
      "positive; to keep parameters as they are, name them in frozen",
    )
    for field, patterns in self.patterns().items():
      for pattern in patterns:
        try:
          re.compile(pattern)
        except re.error as e:
          raise errors.ConfigError(
            f"{{{field}}}: {pattern!r} is not a regex: {e}",
            {field: getattr(self, field)},
          ) from e

  def patterns(self) -> dict[str, tuple[str, ...]]:
    """The patterns in each field that holds patterns."""
    pairs = {
      "weight_decay_multipliers": self.weight_decay_multipliers,
      "lr_multipliers": self.lr_multipliers,
    }
    return {
      "weight_decay_mask": self.weight_decay_mask,
      "frozen": self.frozen,
      **{field: tuple(p for p, _ in value) for field, value in pairs.items()},
    }

  @abc.abstractmethod
  def scale_by(self, stacked: str) -> optax.GradientTransformation:
    """The optimiser's own rule: from gradients to updates at learning rate 1.

    An update has the sign of the gradient; `make` subtracts it.

    Args:
      stacked: regex of how the names of stacked parameters [L, ...] begin. The
        rule treats each layer as a tensor of its own.
    """


DEFINES = {"Config": Optimizer}


def check(config: Any, field: str, valid: bool, rule: str) -> None:
  """Raises the ConfigError "FIELD must be RULE" unless valid and finite."""
  value = getattr(config, field)
  if not valid or (isinstance(value, float) and not math.isfinite(value)):
    raise errors.ConfigError(f"{{{field}}} must be {rule}", {field: value})


def make(
  config: Optimizer,
  schedule: schedule_lib.ScheduleFn,
  params: Any,
  *,
  stacked: str,
) -> optax.GradientTransformation:
  """The whole chain, from gradients to what is added to the parameters.

  The learning rate at step s is `config.peak_lr * schedule(s)`.

  Args:
    config: the optimiser.
    schedule: maps a step to the multiplier of the peak learning rate.
    params: tree of arrays or of their shapes.
    stacked: regex of how the names of parameters [L, ...] begin, such as
      "blocks/"; "" if none is stacked.

  Raises:
    ConfigError: a pattern matches nothing, or everything is frozen.
  """

  def by_name(field: str, f: Any, value: Any) -> _ByName:
    try:
      return f(params, value, stacked)
    except errors.ConfigError as e:
      fields = {field: getattr(config, field)}
      raise errors.ConfigError(f"{{{field}}}: {e}", fields) from None

  def match(field: str) -> dict[str, Int[np.ndarray, "..."]]:
    return by_name(field, layers.first_match, config.patterns()[field])

  def factors(field: str) -> dict[str, Float[np.ndarray, "..."]]:
    # The last value is for the index -1, which means no match.
    values = np.array([*(v for _, v in getattr(config, field)), 1.0])
    return {k: values[i, ...] for k, i in match(field).items()}

  rate = [optax.scale(config.peak_lr)]
  if config.layer_decay < 1:
    by_layer = by_name("layer_decay", layers.decayed, config.layer_decay)
    rate.append(_multiply(by_layer))
  if config.lr_multipliers:
    rate.append(_multiply(factors("lr_multipliers")))
  decay = []
  if config.weight_decay:
    mask, more = match("weight_decay_mask"), factors("weight_decay_multipliers")
    scaled = {k: np.where(mask[k] < 0, 0.0, more[k]) for k in more}
    decay.append(_add_decay(config.weight_decay, scaled))
  by_rate = config.weight_decay_scaling == "learning_rate"
  clip = [optax.clip_by_global_norm(config.clip_norm)]
  rule = optax.chain(
    *(clip if config.clip_norm else []),
    config.scale_by(stacked),
    *(decay + rate if by_rate else rate + decay),
    optax.scale_by_schedule(schedule),
  )
  if config.frozen:
    rule = _freeze(rule, match("frozen"), params)
  # A frozen +0 becomes -0 here, and x + -0 is x bit for bit, also for x = -0.
  return optax.chain(rule, optax.scale(-1.0))


def _named(f: Any) -> optax.GradientTransformation:
  """The transformation without state `f(name, update, param) -> update`."""
  return optax.stateless(
    lambda updates, params: tree.map_named(f, updates, params)
  )


def _multiply(
  factors: Mapping[str, Float[np.ndarray, "..."]],
) -> optax.GradientTransformation:
  return _named(lambda name, u, _: u * factors[name].astype(np.float32))


def _add_decay(
  decay: float, factors: Mapping[str, Float[np.ndarray, "..."]]
) -> optax.GradientTransformation:
  def add(
    name: str,
    update: Float[Array, "*shape"],
    param: Float[Array, "*shape"] | Float[np.ndarray, "*shape"],
  ) -> Float[Array, "*shape"]:
    weight = decay * factors[name]
    if not weight.any():
      return update
    return update + weight.astype(np.float32) * param

  return _named(add)


def _freeze(
  rule: optax.GradientTransformation,
  first_match: Mapping[str, Int[np.ndarray, "..."]],
  params: Any,
) -> optax.GradientTransformation:
  """Keeps frozen parameters out of `rule`: no gradients, moments or updates."""
  trained = {name: i < 0 for name, i in first_match.items()}
  if not any(t.any() for t in trained.values()):
    raise errors.ConfigError(
      "{frozen} matches every parameter; nothing would be trained",
      {"frozen": errors.PATH_ONLY},
    )
  # A single frozen layer shares the moments of its stack, so its gradients and
  # updates are set to 0 instead.
  zero = _named(lambda name, u, _: jnp.where(trained[name], u, 0.0))
  mask = tree.map_named(lambda name, _: bool(trained[name].any()), params)
  return optax.chain(zero, optax.masked(rule, mask), zero)


def state_shardings(
  tx: optax.GradientTransformation,
  params: Any,
  param_shardings: Any,
  mesh: Mesh | AbstractMesh,
) -> Any:
  """The NamedSharding of each leaf of the optimiser's state.

  A leaf with the shape of its parameter is sharded like it. Counts and factored
  moments are small and replicated.

  Args:
    tx: the chain that `make` returned.
    params: tree of arrays or of their shapes.
    param_shardings: the NamedSharding of each parameter.
    mesh: the device mesh; an abstract one will do.
  """
  whole = mesh_lib.replicated(mesh)

  def shard(leaf: Any, param: Any, sharding: NamedSharding) -> Any:
    if isinstance(leaf, optax.MaskedNode):
      return leaf
    return sharding if leaf.shape == param.shape else whole

  return optax.tree.map_params(
    tx,
    shard,
    jax.eval_shape(tx.init, params),
    params,
    param_shardings,
    transform_non_params=lambda _: whole,
    is_leaf=lambda leaf: isinstance(leaf, optax.MaskedNode),
  )
