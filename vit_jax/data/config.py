"""What a run reads: splits of data sets and their preprocessing."""

import dataclasses
from typing import Literal

from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.preprocess.pipeline import Pipeline


@dataclasses.dataclass(frozen=True)
class Split:
  """A split of a data set, and what happens to its examples.

  Attributes:
    name: "tfds:NAME[/CONFIG][:VERSION]", "folder:PATH", "multilabel:PATH",
      "vtab:TASK", "real:FILE", "mix:WEIGHT*NAME+...", "holdout:SHARE*NAME" or
      "synthetic[:NxHxWxCxCLASSES]", each described in the file of data/sources
      that has the scheme's name; or "MODULE:REST" with a module of your own
      whose name has a dot, see data/base.py.
    split: such as "train" or "train[:90%]".
    preprocess: ops, such as "decode|inception_crop(224)|value_range(-1, 1)".
    on_error: what happens if an example cannot be read: "raise" ends the run;
      "skip" takes another in its place (training) or leaves it out
      (evaluation), names it in the log and counts it.
  """

  name: str = "tfds:digits"
  split: str = "train"
  preprocess: Pipeline = Pipeline.parse("decode(1)|value_range(-1, 1)")
  on_error: Literal["raise", "skip"] = "raise"

  def __post_init__(self):
    base.scheme(self.name)
    if not self.split:
      raise errors.ConfigError(
        "{split} must name a split, such as train or train[:90%]",
        {"split": "''"},
      )


@dataclasses.dataclass(frozen=True)
class Config:
  """What a model is trained on.

  Attributes:
    batch_size: examples a step, over all processes and microbatches.
    train: the examples to train on.
  """

  batch_size: int = 128
  train: Split = dataclasses.field(default_factory=Split)

  def __post_init__(self):
    if self.batch_size < 1:
      raise errors.about(self, "{batch_size} must be at least 1")
