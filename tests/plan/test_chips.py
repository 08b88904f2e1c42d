"""The figures of each kind of TPU."""

import pytest

from vit_jax.plan import chips


@pytest.mark.parametrize("kind", chips.CHIPS)
def test_chips_have_plausible_figures_and_a_source(kind):
  chip = chips.CHIPS[kind]
  # A chip has at least v3's and no more than the latest kind's.
  assert 61e12 < chip.flops_per_s * chip.devices < 1e15
  assert 2**33 < chip.hbm_bytes < 2**37
  assert 50 < chip.flops_per_s / chip.hbm_bytes_per_s < 700
  assert chip.ici_bytes_per_s < chip.hbm_bytes_per_s
  assert chip.source.startswith("https://")
