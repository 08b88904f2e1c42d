"""What is damaged or unfinished is named, set aside, and saving goes on."""

import logging
import pathlib
import shutil

import pytest

from tests.checkpoints.states import (
  bits,
  damaged,
  grow,
  place,
  state_at,
  target_of,
)
from vit_jax.checkpoints import manifest, run_checkpoints, steps


def test_a_flipped_byte_in_any_file_is_named_and_the_older_one_used(
  copy, caplog
):
  files = sorted(
    p.relative_to(copy / "200")
    for p in (copy / "200").rglob("*")
    if p.is_file()
  )
  # Orbax's own metadata, array data and the manifest are all among them.
  assert len(files) > 8
  original = copy.with_name("original")
  shutil.copytree(copy / "200", original)
  count = 0
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    assert checkpointer.latest() == 200
    for file in files:
      size = (original / file).stat().st_size
      for at in sorted({0, size // 2, size - 1}):
        path = copy / "200" / file
        data = bytearray(path.read_bytes())
        data[at] ^= 1 << (at % 8)
        path.write_bytes(data)
        caplog.clear()
        assert checkpointer.latest() == 100, (file, at)
        count += 1
        assert f"moved to damaged/200-{count}" in caplog.text
        assert file.name in caplog.text
        aside = copy / "damaged" / f"200-{count}"
        assert (aside / file).read_bytes() == data
        shutil.copytree(original, copy / "200")
    assert checkpointer.latest() == 200
  assert len(damaged(copy)) == count > 24


def cut(path):
  path.write_bytes(path.read_bytes()[:-1])


def empty(path):
  path.write_bytes(b"")


def link(path):
  path.rename(path.parents[2] / "elsewhere")
  path.symlink_to(path.parents[2] / "elsewhere")


@pytest.mark.parametrize(
  "change", [cut, grow, empty, link, pathlib.Path.unlink]
)
@pytest.mark.parametrize("file", ["manifest.json", "state/_METADATA"])
def test_other_damage_is_found(copy, caplog, change, file):
  change(copy / "200" / file)
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    assert checkpointer.latest() == 100
  assert damaged(copy) == ["200-1"]
  record = next(r for r in caplog.records if "damaged/200-1" in r.message)
  assert record.levelno == logging.WARNING


FOREIGN = (
  *(".DS_Store", "._manifest.json", "desktop.ini", "Thumbs.db"),
  *(".nfs0000000000a1", ".stfolder/x", "@eaDir/_METADATA@SynoEAStream", "mine"),
)


@pytest.mark.parametrize("where", ["", "state", "state/d"])
def test_files_of_others_are_no_damage(copy, caplog, where):
  """File managers, sync tools and network disks leave files everywhere."""
  for name in FOREIGN:
    for folder in (copy, copy / "200", copy / "200" / where):
      (folder / name).parent.mkdir(parents=True, exist_ok=True)
      (folder / name).write_bytes(b"somebody else's")
  (copy / "200" / where / ".link").symlink_to("/nowhere")
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    assert checkpointer.latest() == checkpointer.latest() == 200
    got, _ = checkpointer.restore(200, target_of(place(state_at(200))))
    assert bits(got) == bits(place(state_at(200)))
  assert damaged(copy) == []
  assert caplog.text.count("which are ignored: ") == 1
  assert (copy / "200" / where / "mine").exists()


def test_files_of_others_are_not_listed_while_saving(copy, monkeypatch):
  real = manifest.write

  def write(directory, content):
    (directory / "state" / ".nfs01").write_bytes(b"gone soon")
    real(directory, content)
    (directory / "state" / ".nfs01").unlink()

  monkeypatch.setattr(manifest, "write", write)
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    checkpointer.save(300, place(state_at(300)), {})
    assert checkpointer.latest() == 300


@pytest.mark.parametrize("relative", [False, True])
def test_a_step_may_be_a_link(copy, relative):
  elsewhere = copy.with_name("elsewhere") / "200"
  elsewhere.parent.mkdir()
  (copy / "200").rename(elsewhere)
  target = "../elsewhere/200" if relative else elsewhere
  (copy / "200").symlink_to(target)
  with run_checkpoints.Checkpointer(copy, keep=2) as checkpointer:
    assert checkpointer.latest() == 200
    got, _ = checkpointer.restore(200, target_of(place(state_at(200))))
    assert bits(got) == bits(place(state_at(200)))
    for step in (300, 400):
      checkpointer.save(step, place(state_at(step)), {})
      checkpointer.wait()
  # The link has gone like any old step; what it led to is not ours.
  assert steps.finished(copy) == [300, 400]
  assert steps.finished(elsewhere.parent) == [200]


def test_a_damaged_step_that_is_a_link_is_set_aside_as_a_link(copy):
  elsewhere = copy.with_name("elsewhere") / "200"
  elsewhere.parent.mkdir()
  (copy / "200").rename(elsewhere)
  (copy / "200").symlink_to("../elsewhere/200")
  grow(elsewhere / "state" / "_METADATA")
  with run_checkpoints.Checkpointer(copy, keep=2) as checkpointer:
    assert checkpointer.latest() == 100
  assert (copy / "damaged" / "200-1" / "state" / "_METADATA").exists()
  assert (elsewhere / "manifest.json").exists()


def test_unfinished_saves_are_set_aside_on_opening(copy, caplog):
  (copy / "200" / "manifest.json").unlink()
  (copy / "300.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
  (copy / "notes.txt").write_text("mine")
  (copy / "best").mkdir()
  (copy / "007").mkdir()
  (copy / "400").write_text("a file")
  (copy / "500").symlink_to(copy / "100")
  (copy / "50.obsolete").mkdir()
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    assert damaged(copy) == ["200-1", "300-1"]
    assert "200: no manifest.json: an unfinished save" in caplog.text
    assert "300.orbax-checkpoint-tmp: an unfinished save" in caplog.text
    assert checkpointer.latest() == 100
  left = {p.name for p in copy.iterdir()} - {"damaged", "100"}
  assert left == {"notes.txt", "best", "007", "400", "500"}


def test_all_damaged_is_none_and_nothing_is_deleted(copy):
  for step in (100, 200):
    grow(copy / str(step) / "state" / "_METADATA")
  with run_checkpoints.Checkpointer(copy, keep=1) as checkpointer:
    assert checkpointer.latest() is None
  assert damaged(copy) == ["100-1", "200-1"]


def test_a_checkpoint_under_another_steps_name_is_refused(copy, caplog):
  (copy / "200").rename(copy / "300")
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    assert checkpointer.latest() == 100
  assert "its manifest is of step 200" in caplog.text


def test_saving_goes_on_after_a_fallback(copy):
  grow(copy / "200" / "state" / "_METADATA")
  with run_checkpoints.Checkpointer(copy, keep=9) as checkpointer:
    assert checkpointer.latest() == 100
    for step in (150, 200, 250):
      state = place(state_at(step, seed=7))
      checkpointer.save(step, state, {"again": True})
      assert checkpointer.latest() == step
      got, meta = checkpointer.restore(step, target_of(state))
      assert bits(got) == bits(state)
      assert meta == {"again": True}
  assert steps.finished(copy) == [100, 150, 200, 250]
  assert damaged(copy) == ["200-1"]


def test_saving_a_step_again(copy, caplog):
  before = (copy / "200" / "manifest.json").read_bytes()
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    checkpointer.save(200, place(state_at(1)), {"other": 1})
    checkpointer.wait()
    # The good one stays.
    assert (copy / "200" / "manifest.json").read_bytes() == before
  grow(copy / "200" / "state" / "_METADATA")
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    checkpointer.save(200, place(state_at(1)), {"other": 1})
    assert checkpointer.latest() == 200
    # The damaged one made room.
    assert checkpointer.read_meta(200) == {"other": 1}
  assert damaged(copy) == ["200-1"]
  assert "moved to damaged/200-1" in caplog.text
