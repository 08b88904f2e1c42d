"""The step directories of a run."""

import pytest

from vit_jax.checkpoints import manifest, steps
from vit_jax.core import errors


@pytest.fixture
def folder(tmp_path):
  """Steps 1 to 4, of which 3 is unfinished, beside names of others."""
  for step in (1, 2, 3, 4):
    (tmp_path / str(step)).mkdir()
    if step != 3:
      (tmp_path / str(step) / manifest.FILE).write_text("x")
  for name in ("007", "5.txt", "notes"):
    (tmp_path / name).mkdir()
  (tmp_path / "9").write_text("a file")
  (tmp_path / "8").symlink_to(tmp_path / "4")
  return tmp_path


def test_which_there_are(folder):
  assert steps.all_steps(folder) == [1, 2, 3, 4]
  assert steps.finished(folder) == [1, 2, 4]
  assert steps.all_steps(folder / "none") == []


def test_old_ones_are_removed_but_never_the_newest(folder):
  steps.remove_old(folder, newest=1, keep=2)
  assert steps.finished(folder) == [1, 4]
  steps.remove_old(folder, newest=4, keep=1)
  assert steps.finished(folder) == [4]
  assert (folder / "notes").exists()


def test_what_is_set_aside_gets_a_free_name(folder):
  for step, name in (("1", "1-1"), ("2", "2-1"), ("4", "4-1")):
    steps.set_aside(folder / step, "why")
    assert (folder / steps.DAMAGED / name).is_dir()
  (folder / "4").mkdir()
  steps.set_aside(folder / "4", "why")
  assert (folder / steps.DAMAGED / "4-2").is_dir()


def test_the_newest_good_one_is_told_of_each_that_is_not(folder):
  reasons = []
  found = steps.newest_good(folder, lambda path, why: reasons.append(path.name))
  assert found is None
  assert reasons == ["4", "3", "2", "1"]
  with pytest.raises(errors.CheckpointError, match="cannot be read"):
    steps.verify(folder / "4")


def test_tidying_ends_what_was_interrupted(folder):
  (folder / "2.obsolete").mkdir()
  (folder / "6.orbax-checkpoint-tmp-1").mkdir()
  steps.tidy(folder)
  assert steps.all_steps(folder) == [1, 2, 4]
  assert not (folder / "2.obsolete").exists()
  assert {x.name for x in (folder / steps.DAMAGED).iterdir()} == {"3-1", "6-1"}
