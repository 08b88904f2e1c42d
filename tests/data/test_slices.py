"""Parts of a split, by number and by percentage."""

import itertools

import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import slices


@pytest.mark.parametrize(
  ("split", "first", "last"),
  [
    ("train", 0, 99),
    ("train[-10%:]", 90, 99),
    ("train[:-10%]", 0, 89),
    ("train[-7:]", 93, 99),
    ("train[20:40]", 20, 39),
    ("train[12.5%:]", 13, 99),
    ("train[:]", 0, 99),
  ],
)
def test_parts_by_place(tmp_path, split, first, last):
  root = trees.classes(tmp_path)
  whole, part = (
    trees.files(trees.open_folder(root)),
    trees.files(trees.open_folder(root, split)),
  )
  assert part == whole[first : last + 1]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 99, 1000, 1_281_167])
def test_percentages_share_nothing_and_leave_nothing_out(size):
  edges = ["0%", "12.5%", "33.3%", "50%", "66%", "90%", "100%"]
  parts = []
  for first, last in itertools.pairwise(edges):
    try:
      parts.append(slices.parse(f"train[{first}:{last}]", {"train": size}))
    except errors.ConfigError:
      # A part without an example is refused.
      continue
  assert parts[0][1] == 0
  assert parts[-1][2] == size
  assert all(a[2] == b[1] for a, b in itertools.pairwise(parts))


def test_a_half_is_rounded_upwards():
  assert slices.parse("a[:50%]", {"a": 5}) == ("a", 0, 3)
  assert slices.parse("a[-50%:]", {"a": 5}) == ("a", 3, 5)
  assert slices.parse("a[:10%]", {"a": 4_999_999}) == ("a", 0, 500_000)


@pytest.mark.parametrize(
  ("split", "said"),
  [
    ("b", "split=b is unknown (splits: a (5), and parts of them such as"),
    ("a[1]", "split=a[1] is unknown"),
    ("a[1:2:3]", "is unknown"),
    ("a[:50 %]", "is unknown"),
    ("a[2:2]", "split=a[2:2] is examples 2 to 2 of 5: take a part that is not"),
    ("a[-6:]", "is examples -1 to 5 of 5"),
  ],
)
def test_what_is_no_part(split, said):
  with pytest.raises(errors.ConfigError) as caught:
    slices.parse(split, {"a": 5})
  assert said in str(caught.value)
