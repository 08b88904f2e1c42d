"""VTAB's means, by hand."""

import pytest

from vit_jax.core import errors
from vit_jax.evals import vtab

ACCURACIES = {
  "caltech101": 0.91,
  "cifar100": 0.71,
  "dtd": 0.65,
  "flowers102": 0.98,
  "pets": 0.90,
  "sun397": 0.43,
  "svhn": 0.81,
  "patch_camelyon": 0.85,
  "eurosat": 0.95,
  "resisc45": 0.83,
  "diabetic_retinopathy": 0.77,
  "clevr_count": 0.80,
  "clevr_distance": 0.60,
  "dmlab": 0.45,
  "dsprites_location": 0.70,
  "dsprites_orientation": 0.50,
  "kitti_distance": 0.80,
  "smallnorb_azimuth": 0.25,
  "smallnorb_elevation": 0.30,
}


def test_by_hand():
  assert vtab.means(ACCURACIES) == {
    "natural": pytest.approx(5.39 / 7),
    "specialized": pytest.approx(3.40 / 4),
    "structured": pytest.approx(4.40 / 8),
    "all": pytest.approx(13.19 / 19),
  }


def test_a_part_of_it_is_no_score():
  some = {k: v for k, v in ACCURACIES.items() if k != "dtd"}
  with pytest.raises(errors.DataError, match="missing: dtd; unknown: none"):
    vtab.means(some)
  with pytest.raises(errors.DataError, match="missing: none; unknown: mnist"):
    vtab.means({**ACCURACIES, "mnist": 0.99})
