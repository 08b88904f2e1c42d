"""What a module of this package defines, and what all models share.

A model is one file with the names of `ModelModule`. Its Model is a Flax module
that is called as `model.apply(variables, images, train=...)`:

- images: [B, h, w, c] of a floating type, with any number of channels, which
  the parameters fix. Others are refused by `nn.checks.check_images`, with a
  ConfigError or a TypeError; so their type here states no shape.
- train: switches on dropout and stochastic depth, which draw from the rng
  stream "dropout", and statistics of the batch in the collection
  "batch_stats", which must then be mutable.

It returns a dict with these keys:

- grid: [B, gh, gw, D], the features after the last norm.
- tokens: [B, N, D], the same as a sequence, after a class token if there is
  one.
- pre_logits: float32 [B, D], the pooled vector that the head sees.
- logits: float32 [B, C], if there is a head.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, Literal, Protocol, TypeAlias

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float
import numpy as np

from vit_jax.core import errors

Rules = list[tuple[str, PartitionSpec]]
Outputs: TypeAlias = dict[str, Float[Array, "..."]]


class ModelModule(Protocol):
  """What a module of this package defines.

  Attributes:
    Config: a frozen dataclass, most often a `CommonConfig`, that is valid with
      its defaults.
    Model: a Flax module with the attribute `config`. It may have speed knobs,
      which change speed, compile time and memory only: `unroll` (blocks per
      turn of a compiled loop over depth, 0 for no loop), `remat` (what the
      backward pass computes again, see `nn.stacking.rematted`) and
      `split_tokens` (see `core.mesh.split_tokens`).
    VARIANTS: the fields of Config that make each named variant.
    STACKED: regex of how the names of parameters begin that are stacked over
      blocks, [L, ...]; "" if there are none.
    STEM: name of the kernel that images go into, [kh, kw, c, D].
  """

  Config: type[Any]
  Model: type[nn.Module]
  VARIANTS: Mapping[str, Mapping[str, Any]]
  STACKED: str
  STEM: str

  def variant(self, name: str, **overrides: Any) -> Any:
    """The config of a variant, with other values for some fields.

    Raises:
      ConfigError: no such variant, or overrides that do not fit.
    """
    ...

  def sharding_rules(self, config: Any) -> Rules:
    """(regex of the whole parameter name, PartitionSpec) for `mesh.shardings`.

    The first match wins, every rule matches something, and parameters that no
    rule matches are replicated.
    """
    ...


DEFINES = {
  "Config": object,
  "Model": nn.Module,
  "VARIANTS": None,
  "STACKED": None,
  "STEM": None,
  "variant": None,
  "sharding_rules": None,
}


@dataclasses.dataclass(frozen=True)
class CommonConfig:
  """The fields that all models have.

  Attributes:
    num_classes: C; 0 is a model without a head.
    image_size: (h, w) in px of the images that the model is trained on.
    head_bias_init: initial bias of the head.
    dtype: type of the computation. Parameters, norms, softmax, the pooled
      vector and what follows it are float32.
  """

  num_classes: int = 1000
  image_size: tuple[int, int] = (224, 224)
  head_bias_init: float = 0.0
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    check_at_least(self, 0, "num_classes")
    check_sizes(self, "image_size")
    check_head(self, "head_bias_init")


def check_at_least(config: Any, least: int, *names: str) -> None:
  """Raises a ConfigError for a field that is less than `least`."""
  for name in names:
    if getattr(config, name) < least:
      none = "" if least else " (0 is none)"
      raise errors.about(config, f"{{{name}}} must be at least {least}{none}")


def check_sizes(config: Any, *names: str) -> None:
  """Raises a ConfigError for a field (height, width) with less than 1 px."""
  for name in names:
    if min(getattr(config, name)) < 1:
      raise errors.about(config, f"{{{name}}} must be at least 1 px each way")


def check_stages(config: Any, *names: str) -> None:
  """Raises a ConfigError for a field without stages, or one of less than 1."""
  for name in names:
    if min(getattr(config, name), default=0) < 1:
      message = f"{{{name}}} must be at least 1 in every stage"
      raise errors.about(config, message)


def check_rates(config: Any, *names: str) -> None:
  """Raises a ConfigError for a field that is not in [0, 1)."""
  for name in names:
    if not 0.0 <= getattr(config, name) < 1.0:
      message = f"{{{name}}} must be at least 0 and less than 1"
      raise errors.about(config, message)


def check_head(config: Any, *names: str) -> None:
  """Raises a ConfigError for a field of the head if there is no head."""
  for name in names:
    if getattr(config, name) and not config.num_classes:
      raise errors.about(
        config, f"{{{name}}} needs a head, but {{num_classes}}; use 0"
      )


def check_multiple(config: Any, name: str, part: str) -> None:
  """Raises a ConfigError unless a field is a multiple of another one.

  Both are numbers, or both are (height, width).
  """
  sizes, parts = (np.ravel(getattr(config, n)).tolist() for n in (name, part))
  for size, divisor in zip(sizes, parts, strict=True):
    if size % divisor:
      raise errors.about(
        config,
        f"{{{name}}} must be a multiple of {{{part}}}"
        f" {errors.division(size, divisor)}",
      )


def head(config: Any) -> nn.Dense:
  """The classifier: float32, with zeros as its initial kernel."""
  return nn.Dense(
    config.num_classes,
    kernel_init=nn.initializers.zeros,
    bias_init=nn.initializers.constant(config.head_bias_init),
    name="head",
  )


def head_rules(config: CommonConfig) -> Rules:
  """The sharding rule of the head, if there is one.

  C is often odd (21,843), so only the input side can be split.
  """
  rule = ("head/kernel", PartitionSpec("fsdp", None))
  return [rule] if config.num_classes else []


def outputs(
  config: Any,
  grid: Float[Array, "B gh gw D"],
  drop: Callable[[Float[Array, "B D"]], Float[Array, "B D"]] = lambda x: x,
) -> Outputs:
  """The outputs of a model that pools by the mean, with a head if it has one.

  To be called in a compact method; `drop` is applied before the head.
  """
  tokens = grid.reshape(grid.shape[0], -1, grid.shape[-1])
  mean = tokens.mean(axis=1, dtype=jnp.float32)
  out = {"tokens": tokens, "grid": grid, "pre_logits": mean}
  if config.num_classes:
    out["logits"] = head(config)(drop(mean))
  return out
