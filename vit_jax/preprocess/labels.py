"""Labels, and which features of an example go into the batch."""

import dataclasses

import jax
import jax.numpy as jnp

from vit_jax.core import errors
from vit_jax.preprocess import op


def _feature(example: op.Example, key: str) -> object:
  if key not in example:
    raise errors.ConfigError(
      f"no feature {key}{errors.did_you_mean(key, example)}"
      f" (features: {', '.join(sorted(example))})"
    )
  return example[key]


@dataclasses.dataclass(frozen=True)
class Keep(op.HostOp):
  """Drops every feature but these; the id always stays."""

  keys: tuple[str, ...]

  def __post_init__(self):
    op.check(len(self.keys) > 0, "{keys} must name a feature", keys=self.keys)

  def __call__(self, example, rng):
    del rng
    return {k: _feature(example, k) for k in dict.fromkeys((*self.keys, "id"))}


@dataclasses.dataclass(frozen=True)
class Copy(op.HostOp):
  """The feature `source` also under the name `target`."""

  source: str
  target: str

  def __call__(self, example, rng):
    del rng
    return {**example, self.target: _feature(example, self.source)}


@dataclasses.dataclass(frozen=True)
class Onehot(op.DeviceOp):
  """Labels int [B] to float32 [B, C]; a label outside 0..C-1 is all zero."""

  num_classes: int

  def __post_init__(self):
    op.check(
      self.num_classes > 1,
      "{num_classes} must be > 1",
      num_classes=self.num_classes,
    )

  def __call__(self, batch):
    label = jax.nn.one_hot(batch["label"], self.num_classes, dtype=jnp.float32)
    return {**batch, "label": label}
