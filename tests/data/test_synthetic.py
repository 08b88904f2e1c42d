"""Made-up images."""

import numpy as np
import pytest

from vit_jax.data import base


def test_synthetic_is_a_function_of_split_and_index():
  a = base.open_source("synthetic:20x4x6x3x5", "train")
  b = base.open_source("synthetic:20x4x6x3x5", "test")
  again = base.open_source("synthetic:20x4x6x3x5", "train")
  assert len(a) == 20 and a.num_classes == 5
  assert a[7]["image"].shape == (4, 6, 3)
  assert a[7]["image"].dtype == np.uint8
  assert (a[7]["label"], a[7]["id"]) == (2, 7)
  np.testing.assert_array_equal(a[7]["image"], again[7]["image"])
  assert not np.array_equal(a[7]["image"], a[2]["image"])
  assert not np.array_equal(a[7]["image"], b[7]["image"])
  with pytest.raises(IndexError):
    a[20]
