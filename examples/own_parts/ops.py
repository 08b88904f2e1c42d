"""A preprocessing op: a function, written `examples.own_parts.ops.invert()`."""

import numpy as np


def invert(
  image: np.ndarray, rng: np.random.Generator, probability: float = 1.0
) -> np.ndarray:
  """Swaps black and white.

  Args:
    image: uint8 [h, w, c].
    rng: all that is random comes from it.
    probability: how often; else the image stays as it is.
  """
  return 255 - image if rng.random() < probability else image
