"""TPU slices by name."""

import pytest

from vit_jax.core import errors
from vit_jax.plan.topology import Topology


@pytest.mark.parametrize(
  ("text", "devices"),
  [("v3:16x32", 1024), ("v4:8x8x16", 1024), ("v5e:4x8", 32), (" v3:2x2", 8)],
)
def test_devices_of_a_slice(text, devices):
  topology = Topology.parse(text)
  assert topology.num_devices == devices
  assert len(topology.devices()) == devices
  assert str(topology) == text.strip()


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("v9:2x2", "nothing is known of chips of kind v9"),
    ("v5:2x2", "did you mean v5"),
    ("v3", "must be KIND:AxB"),
    ("v3:2", "must be KIND:AxB"),
    ("v3:0x2", "must be KIND:AxB"),
    ("v3:2x2x2x2", "must be KIND:AxB"),
  ],
)
def test_no_such_slice(text, message):
  with pytest.raises(errors.ConfigError, match=message):
    Topology.parse(text)


def test_a_slice_that_the_compiler_refuses():
  with pytest.raises(errors.ConfigError, match="knows no such slice"):
    Topology.parse("v3:3x5").devices()
