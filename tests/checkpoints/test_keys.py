"""The tables: rules that read both ways, and what is wrong with a file."""

import numpy as np
import pytest

from vit_jax.checkpoints import keys, tensors

FUSED = keys.Rule(
  "blocks.{L}.qkv",
  "(S H K) D",
  "blocks/{S}",
  "L D H K",
  {"L": ("0", "1"), "S": ("query", "key", "value")},
)


def as_tensors(arrays):
  return {k: tensors.from_array(v) for k, v in arrays.items()}


def both_ways(rule, theirs, ours_shape):
  ours = {n: np.empty(ours_shape, np.float32) for n, _ in rule.our_names()}
  keys.load([rule], as_tensors(theirs), ours)
  back = keys.save([rule], ours)
  assert back.keys() == theirs.keys()
  for name, value in theirs.items():
    np.testing.assert_array_equal(back[name].read(), value)
    assert back[name].shape == value.shape
  return ours


def test_a_fused_and_stacked_kernel():
  theirs = {
    f"blocks.{i}.qkv": np.random.default_rng(i)
    .standard_normal((3 * 2 * 5, 4))
    .astype(np.float32)
    for i in range(2)
  }
  ours = both_ways(FUSED, theirs, (2, 4, 2, 5))
  x = np.arange(4, dtype=np.float32)
  for layer in range(2):
    q, k, v = np.split(theirs[f"blocks.{layer}.qkv"] @ x, 3)
    for name, value in (("query", q), ("key", k), ("value", v)):
      mine = np.einsum("DHK,D->HK", ours[f"blocks/{name}"][layer], x)
      np.testing.assert_allclose(mine.ravel(), value, rtol=1e-5)


def test_a_convolution_and_axes_of_size_one():
  rule = keys.Rule("w", "O I kh kw", "kernel", "kh kw I O")
  value = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
  ours = both_ways(rule, {"w": value}, (4, 5, 3, 2))
  assert ours["kernel"][1, 2, 0, 1] == value[1, 0, 1, 2]
  rule = keys.Rule("w", "1 1 1 D", "scale", "D")
  both_ways(rule, {"w": np.ones((1, 1, 1, 7), np.float32)}, (7,))


def test_every_fault_is_told_at_once():
  rules = [
    FUSED,
    keys.Rule("head.weight", "C D", "head/kernel", "D C"),
    keys.Rule("head.bias", "C", "head/bias", "C"),
    keys.Rule("norm.weight", "D", "norm/scale", "D"),
  ]
  ours = {f"blocks/{s}": (2, 4, 2, 5) for s in ("query", "key", "value")}
  ours |= {"head/kernel": (4, 9), "head/bias": (9,), "norm/scale": (4,)}
  ours |= {"posemb/rows": (3, 2)}
  theirs = as_tensors(
    {
      "blocks.0.qkv": np.zeros((30, 4), np.float32),
      "blocks.1.qvk": np.zeros((30, 4), np.float32),
      "head.weight": np.zeros((8, 4), np.float32),
      "head.bias": np.zeros(9, np.int64),
      "extra": np.zeros(3, np.float32),
    }
  )
  assert keys.faults(rules, theirs, ours) == [
    "2 missing: blocks.1.qkv (nearest: blocks.1.qvk), norm.weight",
    "2 extra: blocks.1.qvk (nearest: blocks.1.qkv), extra",
    "1 of another shape: head.weight is 8x4 there, 9x4 here",
    "1 without fractions: head.bias is int64",
    "1 only in the model: posemb/rows",
  ]


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_other_floats_become_ours(dtype):
  rule = keys.Rule("a", "D", "a", "D")
  out = {"a": np.empty(3, np.float32)}
  keys.load([rule], as_tensors({"a": np.asarray([1, 2.5, -3], dtype)}), out)
  np.testing.assert_array_equal(out["a"], [1, 2.5, -3])
