"""What several tests of the analysis look at."""

import pytest

from tests.analysis import looked
from tests.models import vit_cases
from vit_jax.models import vit


@pytest.fixture(scope="session")
def map_model():
  """A checkpoint that pools by attention, and what is found out about it."""
  with pytest.MonkeyPatch.context() as monkeypatch:
    return looked.look(monkeypatch, vit.Model(vit_cases.small(pool="map")))
