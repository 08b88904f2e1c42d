"""Every position variant learns the digits, which takes positions."""

import pytest

from tests.invariants import positions

# Relative offsets take longer.
STEPS = {"relative": 400}


@pytest.mark.parametrize(("kind", "place"), positions.variants())
def test_learns_the_digits(kind, place, data_dir):
  steps = STEPS.get(kind, 250)
  losses, accuracy = positions.train(kind, place, data_dir, steps)
  assert 2.2 < losses[0] < 2.4
  if kind == "none":
    # It is above chance, and below whatever has positions.
    assert 0.3 < accuracy < 0.75
  else:
    assert losses[-20:].mean() < 0.4
    assert accuracy > 0.85
