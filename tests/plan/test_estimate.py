"""What a device needs, in closed form."""

import pytest

from tests.plan import small
from vit_jax.core import errors


@pytest.fixture(scope="module")
def estimator():
  return small.estimator()


def test_state_is_what_it_is(estimator):
  """Four bytes a parameter, and Adam's two moments and average beside it."""
  found = small.needs(estimator)
  size = 4 * estimator.parameters
  # Narrow arrays are padded to tiles.
  assert size < found.parameters_bytes < 1.1 * size
  assert found.optimizer_bytes == pytest.approx(
    2 * found.parameters_bytes, rel=0.01
  )
  assert found.other_bytes == found.parameters_bytes


def test_fsdp_splits_state_and_batch(estimator):
  one, four = small.needs(estimator), small.needs(estimator, mesh="fsdp=4")
  assert four.parameters_bytes < 0.35 * one.parameters_bytes
  assert four.optimizer_bytes < 0.35 * one.optimizer_bytes
  assert four.flops == one.flops
  assert four.sent_bytes > 1.5 * one.sent_bytes


def test_knobs_trade_operations_for_bytes(estimator):
  none, dots, full = (
    small.needs(estimator, remat=remat) for remat in ("none", "dots", "full")
  )
  assert none.flops < dots.flops < full.flops
  assert (
    none.activations_bytes > dots.activations_bytes > full.activations_bytes
  )
  parts = small.needs(estimator, microbatches=4)
  assert parts.activations_bytes < 0.5 * none.activations_bytes
  assert parts.flops == pytest.approx(none.flops, rel=0.01)


def test_a_batch_that_cannot_be_split(estimator):
  with pytest.raises(errors.ConfigError, match="not divisible by 3"):
    small.needs(estimator, devices=3)
