"""Masked patch prediction: self-supervision as BERT's, for images.

Section 4.6 and Appendix B.1.2, arXiv:2010.11929.
"""

import dataclasses
import fractions
import math
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vit_jax.core import errors
from vit_jax.losses import reconstruction
from vit_jax.models import vit
from vit_jax.nn import checks

# The task's own parameters are params["task"]; whoever loads a model's
# checkpoint leaves them out.
OWN = "task"
# Colours along each side of what a patch is made of.
SIDES = {"mean_colour": 1, "small_patch": 4}


@dataclasses.dataclass(frozen=True)
class Config:
  """Masked patch prediction; the defaults are the paper's.

  The paper's code was never published. What it leaves open: counts are exact
  in each image, with halves rounded up; another patch is one of the same image,
  each as likely; colours are averaged first and put into classes then; the loss
  is the mean over an image's corrupted patches and over what is predicted of
  each; the mask embedding begins with a standard deviation of 0.02 and the
  prediction's weights at zero.

  Attributes:
    corrupted: share of the patches that are corrupted, and predicted.
    masked: share of those whose embedding is the learned mask.
    swapped: share of those whose embedding is another patch's; the rest keep
      their own.
    target: what is predicted of a patch: its mean colour; the colours of the
      patch made as small as 4 x 4, each as a prediction of its own; or all of
      its pixels, by least squares.
    bits: of each channel of a colour; 3 are 512 colours.
    value_range: what black and white are after preprocessing.
  """

  corrupted: float = 0.5
  masked: float = 0.8
  swapped: float = 0.1
  target: Literal["mean_colour", "small_patch", "pixels"] = "mean_colour"
  bits: int = 3
  value_range: tuple[float, float] = (-1.0, 1.0)
  uses_labels: ClassVar[bool] = False

  def __post_init__(self):
    for name in ("corrupted", "masked", "swapped"):
      if not 0.0 <= getattr(self, name) <= 1.0:
        raise errors.about(self, f"{{{name}}} must be in [0, 1]")
    if _exact(self.masked) + _exact(self.swapped) > 1:
      raise errors.about(
        self,
        "{masked} and {swapped} are shares of what is corrupted; their sum"
        f" {self.masked + self.swapped:g} must be at most 1",
      )
    if not 1 <= self.bits <= 8:
      raise errors.about(self, "{bits} must be in [1, 8]")
    low, high = self.value_range
    if not low < high:
      raise errors.about(self, "{value_range} must be (black, white), rising")

  def counts(self, num_patches: int) -> tuple[int, int, int]:
    """Of so many patches, how many are (corrupted, masked, swapped)."""
    corrupted = _part(self.corrupted, num_patches)
    masked = _part(self.masked, corrupted)
    # Where both halves were rounded up.
    return (
      corrupted,
      masked,
      min(_part(self.swapped, corrupted), corrupted - masked),
    )


def _exact(share: float) -> fractions.Fraction:
  """0.1 as it is written, not as the nearest binary fraction."""
  return fractions.Fraction(str(share))


def _part(share: float, count: int) -> int:
  return math.floor(_exact(share) * count + fractions.Fraction(1, 2))


class Task:
  """The objective: what is corrupted and predicted, and what is minimised.

  Raises:
    ConfigError: a model that has no embeddings of patches or that has a head,
      or patches that do not fit the target.
  """

  def __init__(self, config: Config, model: nn.Module, num_classes: int):
    if not isinstance(model, vit.Model):
      raise errors.ConfigError(
        "task.name=masked_patch corrupts embeddings of patches, which"
        f" model.name={type(model).__module__.rpartition('.')[-1]} does not"
        " have; use vit or hybrid"
      )
    if num_classes:
      raise errors.ConfigError(
        "task.name=masked_patch would never train the head of"
        " {model.num_classes}; use 0",
        {"model.num_classes": num_classes},
      )
    self.config = config
    self.model = model
    self.grid = model.config.grid
    self.counts = config.counts(math.prod(self.grid))
    self._check_patches(model.config.image_size)

  def _check_patches(self, image_size: tuple[int, int]) -> None:
    side = SIDES.get(self.config.target, 1)
    for size, parts in zip(image_size, self.grid, strict=True):
      if size % (parts * side):
        raise errors.ConfigError(
          "task.{target} cuts {model.image_size} into a grid of"
          f" {self.grid} with {side} x {side} colours each"
          f" {checks.division(size, parts * side)}",
          {"target": self.config.target, "model.image_size": image_size},
        )
    if math.prod(self.grid) < 2 or not self.counts[0]:
      raise errors.ConfigError(
        f"{{task.corrupted}} of {math.prod(self.grid)} patches is"
        f" {self.counts[0]}; at least one of two must be corrupted",
        {"task.corrupted": self.config.corrupted},
      )

  def init(self, key: jax.Array, images: jax.Array) -> tuple[Any, Any]:
    """Parameters, and the model's other variables as the task's state."""
    variables = dict(self.model.init(key, images))
    params = dict(variables.pop("params"))
    width = self.model.config.width
    outputs = self._outputs(images.shape)
    draw = nn.initializers.normal(stddev=0.02)
    params[OWN] = {
      "mask": draw(jax.random.fold_in(key, 1), (1, 1, width)),
      "prediction": {
        "kernel": jnp.zeros((width, outputs)),
        "bias": jnp.zeros(outputs),
      },
    }
    return params, variables

  def _outputs(self, shape: tuple[int, ...]) -> int:
    """Numbers that predict a patch of images of shape [B, h, w, c]."""
    if self.config.target == "pixels":
      return math.prod(shape[1:]) // math.prod(self.grid)
    classes = 2 ** (self.config.bits * shape[-1])
    return SIDES[self.config.target] ** 2 * classes

  def augment(self, batch: dict[str, jax.Array], key: jax.Array):
    """Draws what is corrupted and how, for every image by itself.

    Returns:
      image; chosen [B, n], the n corrupted patches; source [B, N], the patch
      whose embedding each patch gets; masked [B, N], whether it gets the mask
      instead; target [B, n, ...], what is to be predicted.
    """
    image = batch["image"]
    n = math.prod(self.grid)
    order_key, other_key = jax.random.split(key)
    shape = (image.shape[0], n)
    order = jnp.argsort(jax.random.uniform(order_key, shape), axis=1)
    rank = jnp.argsort(order, axis=1)
    corrupted, masked, swapped = self.counts
    swap = (rank >= masked) & (rank < masked + swapped)
    away = jax.random.randint(other_key, shape, 1, n)
    source = jnp.broadcast_to(jnp.arange(n), shape)
    chosen = order[:, :corrupted]
    return {
      "image": image,
      "chosen": chosen,
      "source": jnp.where(swap, (source + away) % n, source),
      "masked": rank < masked,
      "target": self._target(image, chosen),
    }

  def _target(self, image: jax.Array, chosen: jax.Array) -> jax.Array:
    """[B, n, side * side] classes, or [B, n, ph * pw * c] pixels."""
    x = reconstruction.patches(image, self.grid)
    x = jnp.take_along_axis(x, chosen[..., None, None, None], axis=1)
    if self.config.target == "pixels":
      return x.reshape(*chosen.shape, -1)
    x = reconstruction.mean_colours(x, SIDES[self.config.target])
    low, high = self.config.value_range
    return reconstruction.colour_classes(
      (x - low) / (high - low), self.config.bits
    )

  def loss(
    self,
    params: Any,
    task_state: Any,
    batch: dict[str, jax.Array],
    key: jax.Array,
  ) -> tuple[jax.Array, Any]:
    """Mean loss of a (micro-)batch, and the task state after it."""
    own = params[OWN]

    def encode(model: vit.Model, images: jax.Array) -> jax.Array:
      x = model.embed(images)
      x = jnp.take_along_axis(x, batch["source"][..., None], axis=1)
      mask = own["mask"].astype(x.dtype)
      x = jnp.where(batch["masked"][..., None], mask, x)
      return model.encode(model.add_positions(x), train=True)[0]

    tokens, task_state = self.model.apply(
      {"params": {k: v for k, v in params.items() if k != OWN}, **task_state},
      batch["image"],
      method=encode,
      rngs={"dropout": key},
      mutable=list(task_state),
    )
    tokens = tokens[:, -math.prod(self.grid) :].astype(jnp.float32)
    tokens = jnp.take_along_axis(tokens, batch["chosen"][..., None], axis=1)
    predicted = tokens @ own["prediction"]["kernel"]
    predicted += own["prediction"]["bias"][None, None]
    target = batch["target"]
    if self.config.target == "pixels":
      return jnp.square(predicted - target).mean(), task_state
    predicted = predicted.reshape(*target.shape, -1)
    return reconstruction.class_xent(predicted, target).mean(), task_state
