"""Cross-entropies over class logits, one loss an example."""

import jax
import jax.numpy as jnp


def targets(labels: jax.Array, num_classes: int) -> jax.Array:
  """Multi-hot targets from integer labels.

  Args:
    labels: [B], or [B, K] with several labels an example, padded with -1.
    num_classes: C.

  Returns:
    float32 [B, C]; a label of -1 adds nothing.
  """
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
