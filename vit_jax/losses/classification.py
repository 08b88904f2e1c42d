"""Cross-entropies over class logits: one loss for each example."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from vit_jax.core import errors


def targets(
  labels: Num[Array, "B *K"], num_classes: int
) -> Float[Array, "B {num_classes}"]:
  """Targets, float32, from labels.

  Args:
    labels: integers [B]; integers [B, K] with several labels for each example,
      padded with -1, which adds nothing; or floats [B, C], which are targets
      already.
    num_classes: C.

  Raises:
    ConfigError: the targets have another number of classes.
  """
  if jnp.issubdtype(labels.dtype, jnp.floating):
    if labels.shape[1:] != (num_classes,):
      raise errors.ConfigError(
        f"the label is {labels.shape[1:]} floats an example, not"
        f" {num_classes}, one for each class of the model; write"
        f" onehot({num_classes})"
      )
    return labels.astype(jnp.float32)
  one_hot = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
  return one_hot if labels.ndim == 1 else one_hot.max(axis=-2)


def smooth(targets: Float[Array, "B C"], amount: float) -> Float[Array, "B C"]:
  """Label smoothing: mixes targets with the uniform distribution."""
  return (1.0 - amount) * targets + amount / targets.shape[-1]


def softmax_xent(
  logits: Float[Array, "B C"], targets: Float[Array, "B C"]
) -> Float[Array, "B"]:
  """Softmax cross-entropy in nats; each row of targets is a distribution."""
  return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)


def sigmoid_xent(
  logits: Float[Array, "B C"], targets: Float[Array, "B C"]
) -> Float[Array, "B"]:
  """Sigmoid cross-entropy in nats, summed over the classes.

  It is the loss of the paper's pre-training (according to an author in
  google-research/vision_transformer#34). Targets are in [0, 1].
  """
  positive = targets * jax.nn.log_sigmoid(logits)
  negative = (1.0 - targets) * jax.nn.log_sigmoid(-logits)
  return -jnp.sum(positive + negative, axis=-1)


LOSSES = {"softmax": softmax_xent, "sigmoid": sigmoid_xent}
