"""Claims of the paper, and the test by which a few runs decide on them.

A claim holds if all its contrasts (weighted sums of the arms' mean scores) are
above 0. A contrast counts as above or below 0 if it differs from 0 by more than
2.78 standard errors: the critical value of Student's t for 5 % (two-sided) with
4 degrees of freedom, as two arms with three seeds have. With more arms the test
is slightly conservative.
"""

from collections.abc import Callable, Mapping
import dataclasses
import itertools
import math
import statistics
from typing import Literal

CRITICAL_T = 2.78
Verdict = Literal[
  "holds", "does not hold", "not resolved at this scale", "not run"
]
# The scores of an arm's seeds, by name of the arm.
Scores = Mapping[str, list[float]]


@dataclasses.dataclass(frozen=True)
class Contrast:
  """A weighted sum of arms' mean scores, which a claim says is above 0.

  Attributes:
    weights: weight of each arm's mean, by name of the arm.
    plus: a constant to add.
  """

  weights: Mapping[str, float]
  plus: float = 0.0

  def value(self, scores: Scores) -> tuple[float, float]:
    """The sum and its standard error; every arm needs at least two seeds."""
    total, variance = self.plus, 0.0
    for arm, weight in self.weights.items():
      total += weight * statistics.fmean(scores[arm])
      deviation = weight * statistics.stdev(scores[arm])
      variance += deviation**2 / len(scores[arm])
    return total, math.sqrt(variance)

  def judge(self, scores: Scores) -> Verdict:
    """Whether the sum is significantly above 0, below 0, or neither."""
    if any(len(scores.get(arm, [])) < 2 for arm in self.weights):
      return "not run"
    total, error = self.value(scores)
    if total > CRITICAL_T * error:
      return "holds"
    if total < -CRITICAL_T * error:
      return "does not hold"
    return "not resolved at this scale"


def better(a: str, b: str, by: float = 0.0) -> Contrast:
  """Arm `a` scores higher than arm `b` by more than `by`."""
  return Contrast({a: 1.0, b: -1.0}, -by)


def same(a: str, b: str, within: float) -> list[Contrast]:
  """The scores of two arms differ by less than `within`."""
  return [better(a, b, -within), better(b, a, -within)]


def at(points: Mapping[str, float], x: float) -> dict[str, float]:
  """Weights that interpolate between the two arms around `x`, over log(x).

  Args:
    points: the x of each arm.
    x: where to interpolate, inside the range of the points.
  """
  order = sorted(points, key=points.__getitem__)
  for low, high in itertools.pairwise(order):
    if points[low] <= x <= points[high]:
      share = math.log(x / points[low]) / math.log(points[high] / points[low])
      return {low: 1.0 - share, high: share}
  raise ValueError(f"{x} is outside the range of {points}")


def minus(a: Mapping[str, float], b: Mapping[str, float]) -> Contrast:
  """The difference of two weighted sums of arms."""
  weights = dict(a)
  for arm, weight in b.items():
    weights[arm] = weights.get(arm, 0.0) - weight
  return Contrast(weights)


@dataclasses.dataclass(frozen=True)
class Claim:
  """One sentence of the paper and the rule by which it is judged.

  Attributes:
    text: what the paper says, and where.
    rule: how it is judged, in words.
    contrasts: makes what must be above 0 from each arm's x and the scores.
    metric: the score that the claim is about.
  """

  text: str
  rule: str
  contrasts: Callable[
    [Mapping[str, float], Mapping[str, Scores]], list[Contrast]
  ]
  metric: str = "test/top_1"

  def judge(
    self, x: Mapping[str, float], scores: Mapping[str, Scores]
  ) -> Verdict:
    """The verdict over all contrasts; one that fails is enough to fail.

    Args:
      x: place of each arm on the axis.
      scores: the scores of every metric, by arm.
    """
    by_arm = scores.get(self.metric, {})
    if not set(x) <= set(by_arm):
      return "not run"
    verdicts = {c.judge(by_arm) for c in self.contrasts(x, scores)}
    for verdict in ("not run", "does not hold", "not resolved at this scale"):
      if verdict in verdicts:
        return verdict
    return "holds"
