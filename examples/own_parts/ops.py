"""A preprocessing op: a function, written `examples.own_parts.ops.invert()`."""

import numpy as np


def invert(
  image: np.ndarray, rng: np.random.Generator, probability: float = 1.0
) -> np.ndarray:
  """Swaps black and white.

  Args:
    image: uint8 [h, w, c].
    rng: source of all randomness.
    probability: how often this happens; otherwise the image is unchanged.
  """
  return 255 - image if rng.random() < probability else image
