"""Tensors in files: nothing of their size exists before they are read."""

import io

import numpy as np
import pytest

from vit_jax.checkpoints import tensors


def test_a_tensor_of_an_array():
  tensor = tensors.from_array(np.arange(6, dtype=np.float16).reshape(2, 3))
  assert tensor.shape == (2, 3)
  assert tensor.nbytes == 12
  np.testing.assert_array_equal(tensor.read(), [[0, 1, 2], [3, 4, 5]])


def test_exactly_the_bytes_of_an_array_are_read():
  value = np.arange(5, dtype=np.float32)
  stream = io.BytesIO(value.tobytes() + b"more")
  out = np.empty(5, np.float32)
  tensors.fill(stream, out)
  np.testing.assert_array_equal(out, value)
  assert stream.read() == b"more"
  with pytest.raises(EOFError, match="12 bytes are missing"):
    tensors.fill(io.BytesIO(value.tobytes()[:8]), out)
