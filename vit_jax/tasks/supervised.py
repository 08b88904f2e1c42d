"""Supervised classification with one or several labels an image."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vit_jax.core import errors
from vit_jax.losses import classification
from vit_jax.tasks import base


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Supervised classification.

  Attributes:
    loss: softmax for one label, sigmoid for independent labels.
    label_smoothing: share of the target that is spread over all classes.
    mixup: p of Beta(p, p) that the mixing weight is drawn from; 0 is off.
    cutmix: p of Beta(p, p) that the share of the image that stays is drawn
      from; 0 is off.
    switch_prob: probability of cutmix in a step where mixup is on too.
  """

  loss: Literal["softmax", "sigmoid"] = "softmax"
  label_smoothing: float = 0.0
  mixup: float = 0.0
  cutmix: float = 0.0
  switch_prob: float = 0.5
  uses_labels: ClassVar[bool] = True

  def __post_init__(self):
    if not 0.0 <= self.label_smoothing < 1.0:
      raise errors.ConfigError(
        "{label_smoothing} must be at least 0 and less than 1",
        {"label_smoothing": self.label_smoothing},
      )
    for name in ("mixup", "cutmix"):
      if (p := getattr(self, name)) < 0.0:
        raise errors.ConfigError(
          f"{{{name}}} must be at least 0 (0 is off)", {name: p}
        )
    if not 0.0 <= self.switch_prob <= 1.0:
      raise errors.ConfigError(
        "{switch_prob} must be in [0, 1]", {"switch_prob": self.switch_prob}
      )

  @property
  def least_classes(self) -> int:
    """A softmax over one class is always 1; a sigmoid is not."""
    return 2 if self.loss == "softmax" else 1


class Task(base.Task):
  """The objective: what is augmented on the device, and what is minimised."""

  def augment(self, batch: base.Batch, key: Key[Array, ""]) -> base.Batch:
    """Adds targets [B, C]; mixes images and targets where asked to.

    Every image is mixed with the one before it in the batch, in one way a
    step: mixup with one weight of at least a half, as big_vision does, or
    cutmix with one rectangle, as timm does.

    Raises:
      ConfigError: the examples hold several views of an image.
    """
    image = batch["image"]
    if image.ndim != 4:
      raise errors.ConfigError(
        f"data.train.preprocess has multicrop, which gives {image.shape[1]}"
        " views of an image; supervised training takes one: write"
        " inception_crop in place of multicrop"
      )
    num_classes = self.model.config.num_classes
    target = classification.targets(batch["label"], num_classes)
    target = classification.smooth(target, self.config.label_smoothing)
    if self.config.mixup or self.config.cutmix:
      weight = self._weight(key, (image.shape[1], image.shape[2]))
      share = weight.mean()
      image = _mix(image, weight)
      target = _mix(target, share)
    return {"image": image, "target": target}

  def _weight(
    self, key: Key[Array, ""], size: tuple[int, int]
  ) -> Float[Array, ""] | Float[Array, "1 {size[0]} {size[1]} 1"]:
    """What stays of each image; of each pixel, where cutmix is on."""
    config = self.config
    if not config.cutmix:
      return _mixup_weight(key, config.mixup)
    switch_key, mixup_key, cutmix_key = jax.random.split(key, 3)
    weight = _cutmix_weight(cutmix_key, config.cutmix, size)
    if not config.mixup:
      return weight
    return jnp.where(
      jax.random.bernoulli(switch_key, config.switch_prob),
      weight,
      _mixup_weight(mixup_key, config.mixup),
    )

  def loss(
    self,
    variables: base.Variables,
    batch: base.Batch,
    key: Key[Array, ""],
    step: base.Step,
  ) -> tuple[Float[Array, ""], base.Aux]:
    """Mean cross-entropy of a (micro-)batch."""
    del step
    out, state = self.apply(variables, batch["image"], key, train=True)
    xent = classification.LOSSES[self.config.loss]
    loss = xent(out["logits"], batch["target"]).mean()
    return loss, base.Aux(metrics={}, state=state)


def _mix(
  x: Float[Array, "B *shape"], weight: Float[Array, "..."]
) -> Float[Array, "B *shape"]:
  """Each example and, for the rest of the weight, the one before it."""
  return weight * x + (1.0 - weight) * jnp.roll(x, 1, axis=0)


def _mixup_weight(key: Key[Array, ""], p: float) -> Float[Array, ""]:
  weight = jax.random.beta(key, p, p)
  return jnp.maximum(weight, 1.0 - weight)


def _cutmix_weight(
  key: Key[Array, ""], p: float, size: tuple[int, int]
) -> Float[Array, "1 {size[0]} {size[1]} 1"]:
  """1 outside a rectangle and 0 inside.

  Its centre is anywhere in the image; what lies beyond the border is cut off.
  Source: arXiv:1905.04899, with the share of the target corrected for that.
  """
  share_key, *centre_keys = jax.random.split(key, 3)
  side = jnp.sqrt(1.0 - jax.random.beta(share_key, p, p))
  inside = []
  for centre_key, n in zip(centre_keys, size, strict=True):
    cut = (n * side).astype(jnp.int32)
    centre = jax.random.randint(centre_key, (), 0, n)
    at = jnp.arange(n)
    inside.append((at >= centre - cut // 2) & (at < centre + cut // 2))
  rows, columns = inside
  kept = ~(rows[None, :, None, None] & columns[None, None, :, None])
  return kept.astype(jnp.float32)
