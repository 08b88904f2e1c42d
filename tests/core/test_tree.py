import collections

import jax
import numpy as np
import pytest

from vit_jax.core import errors, tree

Pair = collections.namedtuple("Pair", ["left", "right"])


@pytest.fixture
def params():
  return {
    "head": {"kernel": 1, "bias": 2},
    "blocks": {"mlp": {"kernel": 3, "bias": 4}},
  }


def test_flatten_names_leaves_in_the_order_of_the_tree(params):
  flat = tree.flatten(params)
  assert flat == {
    "blocks/mlp/bias": 4,
    "blocks/mlp/kernel": 3,
    "head/bias": 2,
    "head/kernel": 1,
  }
  assert list(flat.values()) == jax.tree.leaves(params)


def test_flatten_names_tuples_and_named_tuples():
  flat = tree.flatten({"a": (5, Pair(left=6, right=[7]))})
  assert flat == {"a/0": 5, "a/1/left": 6, "a/1/right/0": 7}


def test_unflatten_is_the_inverse_of_flatten(params):
  assert tree.unflatten(tree.flatten(params)) == params


def test_map_named_hands_over_the_name_and_every_tree(params):
  out = tree.map_named(lambda n, a, b: (n, a, b), params, params)
  assert out["blocks"]["mlp"]["bias"] == ("blocks/mlp/bias", 4, 4)
  assert out["head"]["kernel"] == ("head/kernel", 1, 1)


def test_first_match_prefers_the_earlier_pattern(params):
  index = tree.first_match(params, ["head/.*", ".*/kernel"])
  assert tree.flatten(index) == {
    "blocks/mlp/bias": -1,
    "blocks/mlp/kernel": 1,
    "head/bias": 0,
    "head/kernel": 0,
  }


def test_patterns_match_whole_names(params):
  with pytest.raises(errors.ConfigError, match="matches none of 4 names"):
    tree.mask(params, ["kernel"])
  with pytest.raises(errors.ConfigError, match="matches none of 4 names"):
    tree.mask(params, ["head"])


def test_pattern_whose_leaves_are_all_taken_is_an_error(params):
  with pytest.raises(
    errors.ConfigError,
    match=r"'head/bias' matches none .* no earlier pattern took"
    r" \(such as blocks/mlp/bias, ",
  ):
    tree.first_match(params, ["head/.*", "head/bias"])


def test_broken_regex_is_a_config_error(params):
  with pytest.raises(errors.ConfigError, match=r"'\(' is not a regex: "):
    tree.mask(params, ["("])


def test_mask(params):
  assert tree.mask(params, [".*/bias"]) == {
    "head": {"kernel": False, "bias": True},
    "blocks": {"mlp": {"kernel": False, "bias": True}},
  }
  assert not any(jax.tree.leaves(tree.mask(params, [])))


def test_names_of_abstract_trees():
  shapes = jax.eval_shape(lambda: {"w": np.zeros((2, 3), np.float32)})
  assert tree.flatten(shapes)["w"].shape == (2, 3)
