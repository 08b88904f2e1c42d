"""What the paper claims, and whether a few runs can tell that it holds.

A claim is a set of sums of arms' means that must all be above 0. A sum counts
as above or below 0 when it is so by 2.78 of its standard errors: Student's t
for 5 % (two-sided) at 4 degrees of freedom, which are those of two arms of
three seeds. With more arms it is a little too careful.
"""

from collections.abc import Callable, Mapping
import dataclasses
import itertools
import math
import statistics
from typing import Literal

T = 2.78
Verdict = Literal[
  "holds", "does not hold", "not resolved at this scale", "not run"
]
# Scores of the seeds, by arm.
Scores = Mapping[str, list[float]]


@dataclasses.dataclass(frozen=True)
class Sum:
  """A weighted sum of arms' means, which a claim says is above 0.

  Attributes:
    weights: by arm.
    plus: a constant.
  """

  weights: Mapping[str, float]
  plus: float = 0.0

  def value(self, scores: Scores) -> tuple[float, float]:
    """The sum and its standard error; each arm has at least two seeds."""
    total, variance = self.plus, 0.0
    for arm, weight in self.weights.items():
      total += weight * statistics.fmean(scores[arm])
      deviation = weight * statistics.stdev(scores[arm])
      variance += deviation**2 / len(scores[arm])
    return total, math.sqrt(variance)

  def judge(self, scores: Scores) -> Verdict:
    """Whether it is above 0, below, or neither for sure."""
    if any(len(scores.get(arm, [])) < 2 for arm in self.weights):
      return "not run"
    total, error = self.value(scores)
    if total > T * error:
      return "holds"
    if total < -T * error:
      return "does not hold"
    return "not resolved at this scale"


def better(a: str, b: str, by: float = 0.0) -> Sum:
  """Arm `a` scores more than arm `b`, by more than so much."""
  return Sum({a: 1.0, b: -1.0}, -by)


def same(a: str, b: str, within: float) -> list[Sum]:
  """Two arms differ by less than so much."""
  return [Sum({a: 1.0, b: -1.0}, within), Sum({b: 1.0, a: -1.0}, within)]


def at(points: Mapping[str, float], x: float) -> dict[str, float]:
  """Weights of the two arms around `x`, by interpolation over log(x).

  Args:
    points: x by arm.
    x: inside their range.
  """
  order = sorted(points, key=lambda arm: points[arm])
  for low, high in itertools.pairwise(order):
    if points[low] <= x <= points[high]:
      part = math.log(x / points[low]) / math.log(points[high] / points[low])
      return {low: 1.0 - part, high: part}
  raise ValueError(f"{x} is outside of {points}")


def minus(a: Mapping[str, float], b: Mapping[str, float]) -> Sum:
  """The difference of two weighted sums."""
  weights = dict(a)
  for arm, weight in b.items():
    weights[arm] = weights.get(arm, 0.0) - weight
  return Sum(weights)


@dataclasses.dataclass(frozen=True)
class Claim:
  """One sentence of the paper and the rule by which it is judged.

  Attributes:
    text: what the paper says, and where.
    rule: how it is judged, in words.
    sums: what must be above 0, given x by arm and the scores; all of it.
    metric: the score that it is about.
  """

  text: str
  rule: str
  sums: Callable[[Mapping[str, float], Mapping[str, Scores]], list[Sum]]
  metric: str = "test/top_1"

  def judge(
    self, x: Mapping[str, float], scores: Mapping[str, Scores]
  ) -> Verdict:
    """The verdict over all sums: one that fails is enough to fail.

    Args:
      x: place of each arm on the axis.
      scores: of the seeds by arm, by metric.
    """
    of = scores.get(self.metric, {})
    if not set(x) <= set(of):
      return "not run"
    found = {one.judge(of) for one in self.sums(x, scores)}
    for verdict in ("not run", "does not hold", "not resolved at this scale"):
      if verdict in found:
        return verdict
    return "holds"
