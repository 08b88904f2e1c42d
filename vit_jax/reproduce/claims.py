"""Claims of the paper, and the test by which a few runs decide on them.

A claim holds if all its sums (of the arms' mean scores, weighted) are above 0.
A sum counts as above or below 0 if it differs from 0 by more than 2.78 standard
errors: the critical value of Student's t for 5 % (two-sided) with 4 degrees of
freedom, as two arms with three seeds have. With more arms the test is slightly
conservative.
"""

from collections.abc import Mapping
import dataclasses
import itertools
import math
import re
import statistics
from typing import Any, Literal

CRITICAL_T = 2.78
# The score by which `best` of `arms` chooses.
HELD_OUT = "val/top_1"
# The term of a sum that is a number.
CONSTANT = "constant"
Verdict = Literal[
  "holds", "does not hold", "not resolved at this scale", "not run"
]
# The scores of an arm's seeds, by name of the arm.
Scores = Mapping[str, list[float]]
# The weight of each arm's mean, by name of the arm.
Sum = Mapping[str, float]


def value(weights: Sum, scores: Scores) -> tuple[float, float]:
  """A sum and its standard error; every arm needs at least two seeds."""
  total, variance = 0.0, 0.0
  for arm, weight in weights.items():
    if arm == CONSTANT:
      total += weight
      continue
    total += weight * statistics.fmean(scores[arm])
    deviation = weight * statistics.stdev(scores[arm])
    variance += deviation**2 / len(scores[arm])
  return total, math.sqrt(variance)


def judge(weights: Sum, scores: Scores) -> Verdict:
  """Whether a sum is significantly above 0, below 0, or neither."""
  arms = weights.keys() - {CONSTANT}
  if any(len(scores.get(arm, [])) < 2 for arm in arms):
    return "not run"
  total, error = value(weights, scores)
  if total > CRITICAL_T * error:
    return "holds"
  if total < -CRITICAL_T * error:
    return "does not hold"
  return "not resolved at this scale"


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


def arms(term: str, x: Mapping[str, float], held_out: Scores) -> Sum:
  """The arms that a term of a claim's sum stands for, with their weights.

  A term is the name of an arm, or "best BEGIN": of the arms whose names begin
  so, the one with the best mean on held-out images; or "BEGIN|BEGIN @ ARM": the
  line through the arms whose names begin so, at the x of an arm (of "@ 0.5
  ARM": at half of it).

  Args:
    term: a term.
    x: place of each arm on the axis.
    held_out: the scores on held-out images, if a term needs them.
  """
  if line := re.fullmatch(r"(.+) @ (?:([\d.]+) )?(.+)", term):
    begins, times, place = line[1].split("|"), float(line[2] or 1), line[3]
    points = {k: v for k, v in x.items() if k.startswith(tuple(begins))}
    (arm,) = arms(place, x, held_out)
    return at(points, times * x[arm])
  if term.startswith("best "):
    known = [arm for arm in x if arm.startswith(term.removeprefix("best "))]
    return {max(known, key=lambda arm: statistics.fmean(held_out[arm])): 1.0}
  return {term: 1.0}


@dataclasses.dataclass(frozen=True)
class Claim:
  """One sentence of the paper and the rule by which it is judged.

  Attributes:
    text: what the paper says, and where.
    rule: how it is judged, in words.
    above_0: the sums that must be above 0, by their terms (see `arms`).
    metric: the score that the claim is about.
  """

  text: str
  rule: str
  above_0: list[Sum]
  metric: str = "test/top_1"

  def sums(
    self, x: Mapping[str, float], scores: Mapping[str, Scores]
  ) -> list[dict[str, float]]:
    """The sums over arms, from each arm's x and the scores of every metric."""
    sums = []
    for terms in self.above_0:
      weights: dict[str, Any] = {}
      for term, weight in terms.items():
        for arm, share in arms(term, x, scores.get(HELD_OUT, {})).items():
          weights[arm] = weights.get(arm, 0.0) + weight * share
      sums.append(weights)
    return sums

  def judge(
    self, x: Mapping[str, float], scores: Mapping[str, Scores]
  ) -> Verdict:
    """The verdict over all sums; one that fails is enough to fail."""
    by_arm = scores.get(self.metric, {})
    if not set(x) <= set(by_arm):
      return "not run"
    verdicts = {judge(weights, by_arm) for weights in self.sums(x, scores)}
    for verdict in ("not run", "does not hold", "not resolved at this scale"):
      if verdict in verdicts:
        return verdict
    return "holds"
