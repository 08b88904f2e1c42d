"""Thirty of the runs of `make harms`; all of them in this process."""

import pytest

from tests.e2e import harms

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(data_dir, tmp_path_factory):
  """Settings, a run killed halfway and the undisturbed run."""
  folder = tmp_path_factory.mktemp("harms")
  settings = harms.config(data_dir)
  whole = harms.undisturbed(data_dir, folder / "whole")
  return settings, harms.halfway(whole, folder / "half"), whole


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_lost(runs, tmp_path, seed):
  log = harms.one(seed, *runs, tmp_path)
  assert log["verdict"] == "good", log


def test_the_harness_finds_what_is_wrong(runs, tmp_path):
  """It would notice a row, a step or a result that is lost."""
  _, half, whole = runs
  for lose in (
    lambda w: (w / "metrics.jsonl").write_text(""),
    lambda w: harms.remove(w / "checkpoints" / "12", None),
  ):
    workdir = tmp_path / "lost"
    harms.shutil.copytree(half, workdir)
    before = harms.look(workdir)
    lose(workdir)
    with pytest.raises(harms.Failed, match="lost"):
      harms.check_nothing_lost(workdir, before, ended=False)
    harms.shutil.rmtree(workdir)
  with pytest.raises(harms.Failed, match="differ"):
    harms.check_right(half, whole, harms.look(half))
