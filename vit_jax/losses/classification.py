"""Cross-entropies over class logits, one loss an example."""

import jax
import jax.numpy as jnp

from vit_jax.core import errors


def targets(labels: jax.Array, num_classes: int) -> jax.Array:
  """Targets float32 [B, C] from labels.

  Args:
    labels: integers [B], or [B, K] with several labels an example, padded
      with -1, which adds nothing; or floats [B, C], which are targets already.
    num_classes: C.

  Raises:
    ConfigError: targets of another number of classes.
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


def smooth(targets: jax.Array, amount: float) -> jax.Array:
  """Label smoothing: mixes targets [B, C] with the uniform distribution."""
  return (1.0 - amount) * targets + amount / targets.shape[-1]


def softmax_xent(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Softmax cross-entropy.

  Args:
    logits: [B, C].
    targets: [B, C], each row a distribution.

  Returns:
    [B], in nats.
  """
  return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)


def sigmoid_xent(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Sigmoid cross-entropy, summed over the classes.

  The loss of the paper's pre-training (an author in
  google-research/vision_transformer#34).

  Args:
    logits: [B, C].
    targets: [B, C], each entry in [0, 1].

  Returns:
    [B], in nats.
  """
  positive = targets * jax.nn.log_sigmoid(logits)
  negative = (1.0 - targets) * jax.nn.log_sigmoid(-logits)
  return -jnp.sum(positive + negative, axis=-1)


LOSSES = {"softmax": softmax_xent, "sigmoid": sigmoid_xent}
