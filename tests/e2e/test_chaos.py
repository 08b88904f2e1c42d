"""Three of the runs of `make chaos`; results/chaos has thirty."""

import pytest

from tests.e2e import chaos

pytestmark = pytest.mark.slow

# One is killed, also the first, also during a save; one is preempted; the
# newest checkpoint is damaged; four go on as two, as one, on another mesh.
SEEDS = (2, 8, 11)


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
  return chaos.undisturbed(data_dir, tmp_path_factory.mktemp("whole") / "run")


def test_seeds_cover_every_fault():
  faults = [fault for seed in SEEDS for fault in chaos.draw(seed)]
  assert {f.kind for f in faults} == set(chaos.KINDS)
  assert any(f.flip for f in faults)
  assert any(f.kind == "kill" and f.process == 0 for f in faults)
  assert {f.then for f in faults} == {1, 2, 4}
  assert len({f.mesh for f in faults}) > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_ends_as_if_undisturbed(data_dir, whole, tmp_path, seed):
  log = chaos.one(seed, data_dir, tmp_path, whole)
  moved = any(f["then"] != chaos.PROCESSES for f in log["faults"])
  expected = "losses within" if moved else "identical"
  assert log["verdict"].startswith(expected), log
