"""Thirty steps of published code bases, reproduced by configs of ours."""

import pytest

from tests.invariants import published, trajectories
from vit_jax.optim import adafactor

FIRST, ALL = 1e-5, 1e-4


@pytest.fixture(scope="module", params=trajectories.names())
def both(request):
  """(fixture, ours)."""
  fixture = trajectories.load(request.param)
  return fixture, trajectories.run(fixture)


def assert_small(error):
  assert error[:5].max() < FIRST, error
  assert error.max() < ALL, error


@pytest.mark.parametrize("name", ["loss", "l2_grads"])
def test_losses_and_gradients(both, name):
  assert_small(trajectories.errors(*both)[name])


def test_updates(both):
  """Adafactor's but for the keys' biases, whose share nothing can repeat.

  Their true gradient is 0. Adafactor scales its rounding errors up to updates
  as large as all others, 4 % of the norm and so 1e-3 of its size. They differ
  between two compilations of the published code itself.
  """
  fixture, ours = both
  whole = trajectories.errors(*both)["l2_updates"]
  rest = trajectories.rest_error(*both)
  if rest is None:
    assert_small(whole)
  else:
    assert isinstance(published.experiment(fixture).optim, adafactor.Config)
    assert_small(rest)
    share = ours.key_biases[1:] / ours.curves["l2_updates"][1:]
    assert share.max() < 0.06
    assert whole.max() < 1e-3


def test_final_logits(both):
  assert max(trajectories.logits_errors(*both)) < ALL


def test_a_mesh_of_eight_takes_the_same_steps():
  fixture = trajectories.load("train_sgd_finetune")
  ours = trajectories.run(fixture, 8, mesh="data=2,fsdp=2,tensor=2")
  for error in trajectories.errors(fixture, ours).values():
    assert_small(error)
  assert max(trajectories.logits_errors(fixture, ours)) < ALL


def test_another_recipe_would_be_seen(both):
  """The bounds above do not accept a rate that is 0.1 % off."""
  fixture, ours = both
  curves = dict(ours.curves, l2_updates=1.001 * ours.curves["l2_updates"])
  other = trajectories.Trajectory(curves, 1.001 * ours.key_biases, ours.logits)
  error = trajectories.rest_error(fixture, other)
  if error is None:
    error = trajectories.errors(fixture, other)["l2_updates"]
  with pytest.raises(AssertionError):
    assert_small(error)
