"""Shapes that annotations state are checked while tests run."""

import jax.numpy as jnp
from jaxtyping import TypeCheckError
import pytest

from vit_jax.losses import classification
from vit_jax.models import base
from vit_jax.nn import window

WRONG = {
  "losses": lambda: classification.smooth(jnp.zeros(3), 0.1),
  "models": lambda: base.represent(jnp.zeros((2, 3, 4))),
  "nn": lambda: window.partition(jnp.zeros((2, 3, 4)), (1, 1)),
}


@pytest.mark.parametrize("room", WRONG)
def test_a_wrong_shape_is_an_error(room):
  with pytest.raises(TypeCheckError, match="Type-check"):
    WRONG[room]()
