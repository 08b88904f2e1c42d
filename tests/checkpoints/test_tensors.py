"""Tensors in files: nothing of their size exists before they are read."""

import numpy as np

from vit_jax.checkpoints import tensors
from vit_jax.core import errors


def test_a_tensor_of_an_array():
  tensor = tensors.from_array(np.arange(6, dtype=np.float16).reshape(2, 3))
  assert tensor.shape == (2, 3)
  assert tensor.nbytes == 12
  np.testing.assert_array_equal(tensor.read(), [[0, 1, 2], [3, 4, 5]])


def test_a_size_is_known_before_the_values_are_read():
  huge = tensors.Tensor((1 << 20, 1 << 20), tensors.BFLOAT16, lambda: 1 / 0)
  assert huge.nbytes == 1 << 41


def test_a_refusal_names_the_file():
  error = tensors.refused("a.npz", "it is cut off")
  assert isinstance(error, errors.CheckpointError)
  assert str(error) == "a.npz is refused: it is cut off"
