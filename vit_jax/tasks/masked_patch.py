"""Masked patch prediction: self-supervision as BERT's, for images.

Section 4.6 and Appendix B.1.2, arXiv:2010.11929.
"""

import dataclasses
import fractions
import math
from typing import Any, Literal

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Num

from vit_jax.core import config as config_lib, errors, parts
from vit_jax.losses import reconstruction
from vit_jax.models import vit
from vit_jax.preprocess import values
from vit_jax.tasks import base

# Colours along each side of what a patch is made of.
SIDES = {"mean_colour": 1, "small_patch": 4}


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
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
    bits: bits per channel of a colour; 3 give 512 colours.
    value_range: what black and white are after preprocessing.
  """

  corrupted: float = 0.5
  masked: float = 0.8
  swapped: float = 0.1
  target: Literal["mean_colour", "small_patch", "pixels"] = "mean_colour"
  bits: int = 3
  value_range: tuple[float, float] = (-1.0, 1.0)

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

  def check(self, experiment: Any) -> None:
    """Checks the model, its patches, and the colours of the images.

    Raises:
      ConfigError: a model without embeddings of patches or with a head, patches
        that do not fit the target, or colours in another range.
    """
    model = experiment.model
    module = config_lib.module_for(model)
    if not issubclass(module.Model, vit.Model):
      name = parts.name_of(model)
      raise errors.ConfigError(
        "task.name=masked_patch corrupts embeddings of patches, which"
        f" model.name={name} does not have; use vit or hybrid"
      )
    if model.num_classes:
      raise errors.ConfigError(
        "task.name=masked_patch would never train the head of"
        " {model.num_classes}; use 0",
        {"model.num_classes": model.num_classes},
      )
    self._check_patches(model.grid, model.image_size)
    made = [
      (op.vmin, op.vmax)
      for op in experiment.data.train.preprocess.ops
      if isinstance(op, values.ValueRange)
    ]
    if made != [tuple(self.value_range)]:
      raise errors.ConfigError(
        "{task.value_range} is not what black and white become in"
        " {data.train.preprocess}; give both the same value_range",
        {
          "task.value_range": self.value_range,
          "data.train.preprocess": experiment.data.train.preprocess,
        },
      )

  def _check_patches(
    self, grid: tuple[int, int], image_size: tuple[int, int]
  ) -> None:
    side = SIDES.get(self.target, 1)
    for size, count in zip(image_size, grid, strict=True):
      if size % (count * side):
        raise errors.ConfigError(
          "task.{target} cuts {model.image_size} into a grid of"
          f" {grid} with {side} x {side} colours each"
          f" {errors.division(size, count * side)}",
          {"target": self.target, "model.image_size": image_size},
        )
    corrupted, _, _ = self.counts(math.prod(grid))
    if math.prod(grid) < 2 or not corrupted:
      raise errors.ConfigError(
        f"{{task.corrupted}} of {math.prod(grid)} patches is {corrupted}; at"
        " least one of two must be corrupted",
        {"task.corrupted": self.corrupted},
      )

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


class Task(base.Task):
  """The objective: what is corrupted and predicted, and what is minimised."""

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    self.grid: tuple[int, int] = self.model.config.grid
    self.counts = self.config.counts(math.prod(self.grid))

  def init(
    self, key: Key[Array, ""], images: Float[Array, "B h w c"]
  ) -> tuple[Any, Any]:
    """Adds the mask's embedding and the layer that predicts patches."""
    params, state = super().init(key, images)
    width = self.model.config.width
    outputs = self._outputs(images.shape)
    draw = nn.initializers.normal(stddev=0.02)
    params[base.OWN] = {
      "mask": draw(jax.random.fold_in(key, 1), (1, 1, width)),
      "prediction": {
        "kernel": jnp.zeros((width, outputs)),
        "bias": jnp.zeros(outputs),
      },
    }
    return params, state

  def _outputs(self, shape: tuple[int, ...]) -> int:
    """Numbers that predict a patch of images of shape [B, h, w, c]."""
    if self.config.target == "pixels":
      return math.prod(shape[1:]) // math.prod(self.grid)
    classes = 2 ** (self.config.bits * shape[-1])
    return SIDES[self.config.target] ** 2 * classes

  def augment(self, batch: base.Batch, key: Key[Array, ""]) -> base.Batch:
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

  def _target(
    self, image: Float[Array, "B h w c"], chosen: Int[Array, "B n"]
  ) -> Num[Array, "B n _"]:
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
    variables: base.Variables,
    batch: base.Batch,
    key: Key[Array, ""],
    step: base.Step,
  ) -> tuple[Float[Array, ""], base.Aux]:
    """Mean loss of a (micro-)batch.

    Metrics: accuracy, the share of colours whose class is predicted, where
    classes are what is predicted.
    """
    del step
    own = variables.params[base.OWN]

    def encode(
      model: vit.Model, images: Float[Array, "B h w c"]
    ) -> Float[Array, "B N D"]:
      x = model.embed(images)
      x = jnp.take_along_axis(x, batch["source"][..., None], axis=1)
      mask = own["mask"].astype(x.dtype)
      x = jnp.where(batch["masked"][..., None], mask, x)
      return model.encode(model.add_positions(x), train=True)[0]

    tokens, state = self.apply(variables, batch["image"], key, method=encode)
    tokens = tokens[:, -math.prod(self.grid) :].astype(jnp.float32)
    tokens = jnp.take_along_axis(tokens, batch["chosen"][..., None], axis=1)
    predicted = tokens @ own["prediction"]["kernel"]
    predicted += own["prediction"]["bias"][None, None]
    target = batch["target"]
    if self.config.target == "pixels":
      loss = jnp.square(predicted - target).mean()
      return loss, base.Aux(metrics={}, state=state)
    predicted = predicted.reshape(*target.shape, -1)
    hits = (predicted.argmax(axis=-1) == target).sum().astype(jnp.float32)
    count = jnp.asarray(target.size, jnp.float32)
    loss = reconstruction.class_xent(predicted, target).mean()
    return loss, base.Aux(metrics={"accuracy": (hits, count)}, state=state)
