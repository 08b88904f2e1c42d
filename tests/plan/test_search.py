"""Settings of runtime that fit a config into the memory."""

import dataclasses

import pytest

from tests.plan import small
from vit_jax.core import errors, mesh as mesh_lib
from vit_jax.plan import search
from vit_jax.plan.chips import CHIPS


@pytest.fixture(scope="module")
def estimator():
  return small.estimator()


def test_nearest_way_that_fits(estimator):
  """One change is enough, and of those without tensor the fastest is first."""
  now = small.needs(estimator)
  hbm = int(0.4 * now.peak_bytes * search.MARGIN)
  chip = dataclasses.replace(CHIPS["v3"], hbm_bytes=hbm)
  ways = search.nearest(estimator, 8, chip)
  assert ways
  assert {w.changed for w in ways} == {1}
  assert all(w.needs.peak_bytes * search.MARGIN < hbm for w in ways)
  tensors = [w.experiment.runtime.mesh.tensor for w in ways]
  assert tensors == sorted(tensors)
  times = [sum(w.needs.times(chip).values()) for w in ways]
  plain = times[: tensors.count(1)]
  assert plain == sorted(plain)


def test_auto_mesh(estimator):
  """Data parallel where that fits, else as little fsdp as is needed."""
  peak = small.needs(estimator).peak_bytes * search.MARGIN
  mesh = search.auto_mesh(estimator, 8, int(1.01 * peak))
  assert mesh == mesh_lib.MeshShape(8, 1, 1)
  less = small.needs(estimator, mesh="fsdp=4").peak_bytes * search.MARGIN
  mesh = search.auto_mesh(estimator, 8, int(1.01 * less))
  assert mesh == mesh_lib.MeshShape(2, 4, 1)
  with pytest.raises(errors.ConfigError, match=r"no mesh of 8 devices fits"):
    search.auto_mesh(estimator, 8, 1000)
  with pytest.raises(errors.ConfigError, match="cannot be split over 7"):
    search.auto_mesh(estimator, 7, int(peak))
