"""Labels, and which features of an example go into the batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.core import errors
from vit_jax.preprocess import op

_MAX_LABEL = np.iinfo(np.int32).max


def _feature(example: op.Example, key: str) -> object:
  if key not in example:
    raise errors.ConfigError(
      f"no feature {key}{errors.did_you_mean(key, example)}"
      f" (features: {', '.join(sorted(example))})"
    )
  return example[key]


@dataclasses.dataclass(frozen=True)
class Keep(op.HostOp):
  """Drops every feature whose name is not in `keys`; the id always stays."""

  keys: tuple[str, ...]

  def __post_init__(self):
    op.check(self, len(self.keys) > 0, "{keys} must name a feature")

  def __call__(self, example, rng):
    return {k: _feature(example, k) for k in dict.fromkeys((*self.keys, "id"))}


@dataclasses.dataclass(frozen=True)
class Copy(op.HostOp):
  """The feature `inkey` once more, under the name `outkey`."""

  inkey: str
  outkey: str

  def __call__(self, example, rng):
    return {**example, self.outkey: _feature(example, self.inkey)}


@dataclasses.dataclass(frozen=True)
class PadLabels(op.HostOp):
  """Turns a list of labels of any length into "label", int32 [max_labels].

  The label is filled up with -1, which the device counts for no class. The
  list itself is dropped.

  Attributes:
    max_labels: the length of every label.
    key: the feature that holds the list.

  Raises:
    DataError: more than `max_labels` labels, or no list of classes.
  """

  max_labels: int
  key: str = "labels"

  def __post_init__(self):
    op.check(self, self.max_labels > 0, "{max_labels} must be > 0")

  def __call__(self, example, rng):
    labels = np.asarray(_feature(example, self.key))
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
      raise errors.DataError(
        f"record {example['id']}: {self.key} is {labels.dtype}"
        f" {labels.shape}, not a list of whole numbers; repair the record or"
        " name another feature with pad_labels(key=...)"
      )
    if labels.size and not 0 <= labels.min() <= labels.max() <= _MAX_LABEL:
      raise errors.DataError(
        f"record {example['id']}: {self.key} has classes from {labels.min()}"
        f" to {labels.max()}, not within 0..{_MAX_LABEL}; repair the record"
      )
    if labels.size > self.max_labels:
      raise errors.DataError(
        f"record {example['id']} has {labels.size} labels; write"
        f" pad_labels({labels.size}) or more, not {self.max_labels}"
      )
    label = np.full(self.max_labels, -1, np.int32)
    label[: labels.size] = labels
    rest = {k: v for k, v in example.items() if k != self.key}
    return {**rest, "label": label}


@dataclasses.dataclass(frozen=True)
class Onehot(op.DeviceOp):
  """Turns labels, int [B] or [B, n], into float32 [B, C], where C is `depth`.

  Several labels give a row with several ones; a label outside 0..C-1, such as
  the padding -1, adds nothing.
  """

  depth: int

  def __post_init__(self):
    op.check(self, self.depth > 1, "{depth} must be > 1 class")

  def __call__(self, batch):
    label = jax.nn.one_hot(batch["label"], self.depth, dtype=jnp.float32)
    return {**batch, "label": label.max(axis=1) if label.ndim > 2 else label}
