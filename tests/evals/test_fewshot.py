"""Few-shot regression against published counts and a direct solve."""

import json
import pathlib

import numpy as np
import pytest

from tests.evals import pixels
from tests.parity import rule
from vit_jax.core import errors
from vit_jax.evals import fewshot

FIXTURE = pathlib.Path(__file__).parent / "fixtures/fewshot.json"


def published():
  """Train and test features as the fixture's rule makes them."""
  f = json.loads(FIXTURE.read_text())
  centres = rule.draw(f"{f['salt']}:centres", (f["classes"], f["width"]))
  splits = []
  for name in ("train", "test"):
    n = f[f"n_{name}"]
    label = np.arange(n) % f["classes"]
    noise = rule.draw(f"{f['salt']}:{name}", (n, f["width"]))
    splits.append({"feature": centres[label] + 2 * noise, "label": label})
  return f, *splits


def test_published_counts():
  f, train, test = published()
  fit = fewshot.Ridge(train["feature"], train["label"], f["classes"])
  assert len(f["accuracy_by_l2"]) == 3
  for penalty, accuracy in f["accuracy_by_l2"].items():
    hits = fit.hits(test, float(penalty))
    assert hits == round(accuracy * f["n_test"])


@pytest.mark.parametrize("count", [7, 49, 50])
@pytest.mark.parametrize("penalty", [2.0**-10, 1.0, 2.0**20])
def test_a_direct_solve_in_float64(count, penalty):
  """With fewer examples than features, and with more."""
  f, train, _ = published()
  x = train["feature"][:count, : 10 if count == 49 else 24].astype(np.float64)
  label = train["label"][:count]
  fit = fewshot.Ridge(x.astype(np.float32), label, f["classes"])
  z = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-5)
  z = np.concatenate([z, np.full((count, 1), 100.0)], axis=1)
  y = np.where(label[:, None] == np.arange(f["classes"]), 1.0, -1.0)
  gram = z.T @ z + penalty * np.eye(z.shape[1])
  direct = np.linalg.solve(gram, z.T @ y)
  found = fit.weights(penalty)
  assert np.abs(found - direct).max() / np.abs(direct).max() < 1e-8


def synthetic(count, seed, classes=3, width=6):
  rng = np.random.default_rng(seed)
  label = np.arange(count) % classes
  centres = 2 * np.eye(classes, width)
  feature = centres[label] + rng.standard_normal((count, width))
  return {"feature": feature.astype(np.float32), "label": label}


def test_draws_are_those_of_big_vision():
  """The first `shots` of a permutation of each class, one generator a seed."""
  label = np.array([2, 0, 1, 1, 0, 2, 0, 1, 2, 0])
  drawn = fewshot.draw(label, 3, 2, seed=5)
  rng = np.random.default_rng(5)
  expected = [
    rng.permutation(of)[:2] for of in ([1, 4, 6, 9], [2, 3, 7], [0, 5, 8])
  ]
  np.testing.assert_array_equal(drawn, expected)


def test_mean_and_deviation_over_seeds():
  train, test = synthetic(90, 0), synthetic(300, 1)
  config = fewshot.Config(shots=(2,), seeds=4, penalties=(16.0,))
  scores = fewshot.evaluate(config, train, test, 3)
  each = []
  for seed in range(4):
    index = fewshot.draw(train["label"], 3, 2, seed).ravel()
    fit = fewshot.Ridge(train["feature"][index], train["label"][index], 3)
    each.append(fit.hits(test, 16.0) / 300)
  assert len(set(each)) > 1
  assert scores == {
    "2_shot": pytest.approx(np.mean(each)),
    "2_shot_std": pytest.approx(np.std(each, ddof=1)),
    "2_shot_penalty": 16.0,
  }


def chosen(select, test):
  config = fewshot.Config(
    shots=(2, 5), penalties=(0.01, 1.0, 1e2, 1e4, 1e6), select=select
  )
  scores = fewshot.evaluate(config, synthetic(90, 0), test, 3)
  return [scores["2_shot_penalty"], scores["5_shot_penalty"]]


def test_the_penalty_never_depends_on_test_examples():
  """Which is a choice that could be made on them: "test" makes it."""
  tests = [synthetic(40, seed) for seed in range(1, 9)]
  assert len({tuple(chosen("held_out", test)) for test in tests}) == 1
  assert len({tuple(chosen("test", test)) for test in tests}) > 1


def test_shots_and_held_out_examples_never_overlap(monkeypatch):
  """A choice made on the shots themselves takes the smallest penalty."""
  pools, fitted = [], []

  class Spy(fewshot.Ridge):
    def __init__(self, features, labels, num_classes):
      fitted.append({row.tobytes() for row in features})
      super().__init__(features, labels, num_classes)

  def choose(fits, given, penalties):
    pools.extend(given)
    return penalties[0]

  monkeypatch.setattr(fewshot, "Ridge", Spy)
  monkeypatch.setattr(fewshot, "choose", choose)
  config = fewshot.Config(shots=(1, 7), seeds=2)
  fewshot.evaluate(config, synthetic(60, 0), synthetic(30, 1), 3)
  assert [len(pool["label"]) for pool in pools] == [3, 3, 12, 12]
  for shots, pool in zip(fitted, pools, strict=True):
    assert not shots & {row.tobytes() for row in pool["feature"]}


def test_of_equal_penalties_the_largest():
  penalties = (1.0, 8.0, 4.0, 16.0)

  class Fit(fewshot.Ridge):
    def __init__(self):
      pass

    def hits(self, values, penalty):
      return int(values["hits"][penalties.index(penalty)])

  pools = [{"hits": np.array(hits)} for hits in ([2, 4, 5, 1], [3, 2, 1, 3])]
  assert fewshot.choose([Fit(), Fit()], pools, penalties) == 8.0


def test_evaluator():
  train, test = synthetic(90, 0), synthetic(31, 1)
  config = fewshot.Config(
    data=pixels.SPLIT, train=pixels.SPLIT, shots=(5,), batch_size=8
  )
  scores = pixels.scores(
    fewshot,
    config,
    train=pixels.Source(train["feature"], train["label"], 3),
    data=pixels.Source(test["feature"], test["label"], 3),
  )
  expected = fewshot.evaluate(config, train, test, 3)
  assert scores == {**expected, "examples": 31}


def test_too_few_examples():
  with pytest.raises(errors.ConfigError, match=r"class 0 has 4 examples.* 5;"):
    fewshot.draw(np.arange(12) % 3, 3, 5, 0)


def test_config_errors():
  bad = [("shots", ()), ("shots", (0,)), ("seeds", 0), ("penalties", (0.0,))]
  for name, value in bad:
    with pytest.raises(errors.ConfigError, match=f"{name}="):
      fewshot.Config(**{name: value})
  assert fewshot.Config(penalties=(1.0,)).held_out(5) == 0
