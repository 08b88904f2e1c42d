"""Supervised classification with one or several labels an image."""

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vit_jax.core import errors
from vit_jax.losses import classification


@dataclasses.dataclass(frozen=True)
class Config:
  """Supervised classification.

  Attributes:
    loss: softmax for one label, sigmoid for independent labels.
    label_smoothing: share of the target that is spread over all classes.
    mixup: p of Beta(p, p) that the mixing weight is drawn from; 0 is off.
  """

  loss: Literal["softmax", "sigmoid"] = "softmax"
  label_smoothing: float = 0.0
  mixup: float = 0.0

  def __post_init__(self):
    if not 0.0 <= self.label_smoothing < 1.0:
      raise errors.ConfigError(
        "{label_smoothing} must be at least 0 and less than 1",
        {"label_smoothing": self.label_smoothing},
      )
    if self.mixup < 0.0:
      raise errors.ConfigError(
        "{mixup} must be at least 0 (0 is off)", {"mixup": self.mixup}
      )


class Task:
  """The objective: what is augmented on the device, and what is minimised."""

  def __init__(self, config: Config, model: nn.Module, num_classes: int):
    self.config = config
    self.model = model
    self.num_classes = num_classes

  def init(self, key: jax.Array, images: jax.Array) -> tuple[Any, Any]:
    """Parameters, and the model's other variables as the task's state."""
    variables = dict(self.model.init(key, images))
    return variables.pop("params"), variables

  def augment(self, batch: dict[str, jax.Array], key: jax.Array):
    """Adds targets [B, C]; mixes images and targets where asked to.

    Mixup draws one weight a step and mixes with the batch rolled by one, as
    big_vision does.
    """
    target = classification.targets(batch["label"], self.num_classes)
    target = classification.smooth(target, self.config.label_smoothing)
    image = batch["image"]
    if self.config.mixup:
      p = self.config.mixup
      weight = jax.random.beta(key, p, p)
      weight = jnp.maximum(weight, 1.0 - weight)
      image, target = (
        weight * x + (1.0 - weight) * jnp.roll(x, 1, axis=0)
        for x in (image, target)
      )
    return {"image": image, "target": target}

  def loss(
    self,
    params: Any,
    task_state: Any,
    batch: dict[str, jax.Array],
    key: jax.Array,
  ) -> tuple[jax.Array, Any]:
    """Mean loss of a (micro-)batch, and the task state after it."""
    out, task_state = self.model.apply(
      {"params": params, **task_state},
      batch["image"],
      train=True,
      rngs={"dropout": key},
      mutable=list(task_state),
    )
    xent = classification.LOSSES[self.config.loss]
    return xent(out["logits"], batch["target"]).mean(), task_state
