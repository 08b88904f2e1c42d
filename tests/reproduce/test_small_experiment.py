"""Small experiments: fair comparisons, claims about their arms, compute."""

import pytest

from tests.reproduce import small_runs
from vit_jax.core import config as config_lib
from vit_jax.reproduce import claims, small_experiment
from vit_jax.train.experiment import Experiment


@pytest.mark.parametrize("one", small_experiment.ALL, ids=lambda one: one.name)
def test_every_miniature_is_fair(one):
  """Valid runs, three seeds, as many rates, and each run has its arm."""
  sweep, runs = small_runs.runs_of(one)
  counts = {}
  for run in runs:
    config_lib.build(Experiment, run.config)
    assert run.config.runtime.data_dir == "here"
    if run.stage == "first":
      name = one.arm_of(run.setting).name
      counts[name] = counts.get(name, 0) + 1
  assert list(counts) == [arm.name for arm in one.arms]
  assert len({*counts.values()}) == 1
  if one.tuned:
    assert [s[":seed"] for s in sweep.final] == [0, 1, 2]
    assert len({*one.arms[0].rates}) >= 3
  else:
    assert {*counts.values()} == {3}
  if one.axis == "images":
    sizes = {}
    for arm in one.arms:
      sizes.setdefault(arm.series, set()).add(arm.setting[":images"])
    assert len({*map(frozenset, sizes.values())}) == 1
    assert min(map(len, sizes.values())) >= 4


@pytest.mark.parametrize("one", small_experiment.ALL, ids=lambda one: one.name)
def test_claims_are_about_arms(one):
  x = one.x()
  scores = {name: [0.5, 0.6, 0.7] for name in x}
  held = {m: scores for m in (*one.metrics, "val/top_1")}
  for claim in one.claims:
    assert claim.metric in one.metrics
    for total in claim.sums(x, held):
      assert set(total) - {claims.CONSTANT} <= set(x)
    # All arms are equal, so nothing can be resolved but that they are.
    assert claim.judge(x, held) != "not run"


def test_compute_is_that_of_the_formula():
  """Three passes over 300 batches of 128 images, two patches of 14 px each way.

  A block of width 64: 4 x 64 x 64 + 2 x 64 x 128 multiply-adds a token, and
  2 x 5 x 64 of attention; 4 patches and a class token.
  """
  flops = small_experiment.training_flops({"model.patch_size": (14, 14)})
  block = 5 * (4 * 64 * 64 + 2 * 64 * 128 + 2 * 5 * 64)
  products = 4 * 14 * 14 * 64 + 4 * block + 64 * 10
  # Norms, softmax and GELU are in it as well.
  least = 3 * 300 * 128 * 2 * products
  assert least < flops < 1.35 * least
