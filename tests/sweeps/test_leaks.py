"""Leaks of test data into training or selection."""

import pytest

from tests.sweeps import digits
from vit_jax.core import errors
from vit_jax.sweeps import leaks

LEAKS = [
  ({}, {}, ""),
  # Selection by what the final runs are scored with.
  ({"evals.test.data.split": "test"}, {}, "selection .*, test. and the final"),
  ({"evals.test.data.split": "test[:10]"}, {}, "share 10 examples"),
  ({"evals.test.data.split": "train[80%:]"}, {}, "and training .* share"),
  ({}, {"data.train.split": "test"}, "the final training .* share 351"),
]


@pytest.mark.parametrize(("first", "final", "message"), LEAKS)
def test_a_planted_leak_is_caught(data_dir, first, final, message):
  sweep = digits.sweep(
    settings=tuple(
      {**s, "runtime.data_dir": str(data_dir), **first}
      for s in digits.sweep().settings
    ),
    final=tuple({**s, **final} for s in digits.sweep().final),
  )
  if message:
    with pytest.raises(errors.ConfigError, match=message):
      leaks.check(sweep)
  else:
    leaks.check(sweep)


def test_pieces_of_other_sources():
  files = {"name": "folder:x", "version": "a", "files": "d", "split": "train"}
  a, b = ({**files, "shard_sizes": s} for s in ([0, 7, 9], [5, 9, 9]))
  assert leaks.overlap(a, b) == 2
  assert leaks.overlap({**a, "version": "b"}, b) == 0
  mixed = {"parts": {"0": a, "1": b}, "shard_sizes": [7, 4]}
  assert leaks.overlap(mixed, b) == 2 + 4


def test_what_a_start_was_trained_on_counts(data_dir):
  where = {"runtime.data_dir": str(data_dir)}
  for split, message in (
    ("train[:50%]", ""),
    ("train", r"selection .*train\[90%:\].* and training"),
    ("test", r"the final training .*test.* and test .* share 351"),
  ):
    start = digits.trained("start", {"data.train.split": split, **where})
    sweep = digits.sweep(
      settings=tuple(
        {**s, **where, "start.checkpoint": start}
        for s in digits.sweep().settings
      )
    )
    if message:
      with pytest.raises(errors.ConfigError, match=message):
        leaks.check(sweep)
    else:
      leaks.check(sweep)
