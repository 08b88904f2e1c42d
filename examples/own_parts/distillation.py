"""An objective: predict what a teacher predicts (arXiv:1503.02531)."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vit_jax.core import duration, errors
from vit_jax.tasks import base


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Distillation from another model, without labels.

  Attributes:
    teacher: the teacher's checkpoint, in any format and of any size. It must
      have as many classes as the trained model, and sees the same images.
    temperature: temperature of both softmaxes.
    warmup: duration over which the weight of the loss grows from 0 to 1.
  """

  teacher: str = ""
  temperature: float = 1.0
  warmup: duration.Duration = duration.Duration(0, "steps")

  def __post_init__(self):
    if not self.temperature > 0:
      raise errors.about(self, "{temperature} must be above 0")

  def check(self, experiment: Any) -> None:
    if not self.teacher:
      raise errors.ConfigError(
        "{task.teacher} must be the checkpoint of a teacher",
        {"task.teacher": "''"},
      )
    if not experiment.model.num_classes:
      raise errors.ConfigError(
        "{model.num_classes}: distillation needs the teacher's classes",
        {"model.num_classes": 0},
      )

  def weights(self) -> Mapping[str, str]:
    return {"teacher": self.teacher}


class Task(base.Task):
  """Minimises the cross-entropy from the teacher's to the model's classes."""

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    self.warmup_steps = self.steps(self.config.warmup)

  def augment(self, batch: base.Batch, key: Key[Array, ""]) -> base.Batch:
    del key  # Nothing is drawn on the device.
    return {"image": batch["image"]}

  def loss(
    self,
    variables: base.Variables,
    batch: base.Batch,
    key: Key[Array, ""],
    step: base.Step,
  ) -> tuple[Float[Array, ""], base.Aux]:
    """Mean loss of a batch.

    Metrics: agreement, the fraction of images with the teacher's class.
    """
    image, t = batch["image"], self.config.temperature
    out, state = self.apply(variables, image, key, train=True)
    teacher = self.weights["teacher"].model
    theirs: Any = teacher.apply(variables.weights["teacher"], image)
    target = jax.nn.softmax(theirs["logits"] / t)
    log_p = jax.nn.log_softmax(out["logits"] / t)
    loss = -(target * log_p).sum(axis=-1).mean() * t**2
    if self.warmup_steps:
      loss *= jnp.minimum(step / self.warmup_steps, 1.0)
    agree = out["logits"].argmax(axis=-1) == theirs["logits"].argmax(axis=-1)
    count = jnp.asarray(len(image), jnp.float32)
    metrics = {"agreement": (agree.sum().astype(jnp.float32), count)}
    return loss, base.Aux(metrics=metrics, state=state)
