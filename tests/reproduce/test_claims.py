"""Verdicts from a few scores, computed by hand."""

import pytest

from vit_jax.reproduce import claims

# Deviation 0.01 each: errors of a difference are 0.01 * sqrt(2 / 3) = 0.00816,
# and 2.78 of them 0.0227.
LOW = [0.69, 0.70, 0.71]


A_OVER_B = {"a": 1.0, "b": -1.0}


def more_by(by):
  return {claims.CONSTANT: -by, **A_OVER_B}


def high(by):
  return [score + by for score in LOW]


@pytest.mark.parametrize(
  "by, verdict",
  [
    (0.03, "holds"),
    (0.022, "not resolved at this scale"),
    (0.0, "not resolved at this scale"),
    (-0.03, "does not hold"),
  ],
)
def test_better(by, verdict):
  scores = {"a": high(by), "b": LOW}
  assert claims.judge(A_OVER_B, scores) == verdict


def test_a_sum_and_its_error():
  scores = {"a": high(0.1), "b": LOW, "c": LOW}
  total, error = claims.value({"a": 2.0, "b": -1.0, "c": -1.0}, scores)
  assert total == pytest.approx(0.2)
  assert error == pytest.approx(0.01 * (6 / 3) ** 0.5)


def test_by_more_than():
  scores = {"a": high(0.05), "b": LOW}
  assert claims.judge(more_by(0.02), scores) == "holds"
  unsure = claims.judge(more_by(0.04), scores)
  assert unsure == "not resolved at this scale"


def claim(*sums):
  return claims.Claim("It is so.", "a rule", list(sums), "m")


def judge(one, **scores):
  return one.judge(dict.fromkeys("ab", 0.0), {"m": scores})


@pytest.mark.parametrize(
  "by, verdict",
  [
    (0.0, "holds"),
    (0.03, "not resolved at this scale"),
    (0.09, "does not hold"),
    (-0.09, "does not hold"),
  ],
)
def test_same(by, verdict):
  one = claim(more_by(-0.04), {claims.CONSTANT: 0.04, "b": 1.0, "a": -1.0})
  assert judge(one, a=high(by), b=LOW) == verdict


def test_a_claim_needs_every_arm_and_seeds():
  one = claim(A_OVER_B)
  assert judge(one, a=high(0.5)) == "not run"
  assert judge(one, a=high(0.5), b=[0.7]) == "not run"
  assert one.judge({"a": 0.0}, {}) == "not run"


def test_one_sum_that_fails_is_enough():
  sums = A_OVER_B, {"b": 1.0, "a": -1.0}
  assert judge(claim(*sums), a=high(0.5), b=LOW) == "does not hold"


def test_interpolation():
  points = {"far": 100.0, "near": 1.0, "middle": 10.0}
  assert claims.at(points, 10.0) == {"near": 0.0, "middle": 1.0}
  assert claims.at(points, 10**1.5) == pytest.approx(
    {"middle": 0.5, "far": 0.5}
  )
  with pytest.raises(ValueError, match="outside"):
    claims.at(points, 101.0)


def test_terms():
  x = {"low 1": 1.0, "low 100": 100.0, "high": 20.0}
  held_out = {"low 1": [0.5], "low 100": [0.6], "high": [0.9]}
  expected = {
    "high": {"high": 1.0},
    "best low": {"low 100": 1.0},
    "low @ 0.5 high": {"low 1": 0.5, "low 100": 0.5},
    "low|high @ best low": {"high": 0.0, "low 100": 1.0},
  }
  for term, weights in expected.items():
    assert claims.arms(term, x, held_out) == pytest.approx(weights)


def test_a_term_that_stands_for_the_same_arm_is_taken_together():
  x = {"a": 1.0, "b": 10.0, "c": 10**0.75}
  one = claims.Claim("", "", [{"a": 1.0, "a|b @ c": -1.0}])
  assert one.sums(x, {}) == [pytest.approx({"a": 0.75, "b": -0.75})]
