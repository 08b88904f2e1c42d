"""Checkpoints in a bucket, where nothing can be renamed or locked."""

import pytest

from tests.checkpoints.states import bits, place, saved, state_at, target_of
from vit_jax import checkpoints
from vit_jax.checkpoints import run_checkpoints, steps
from vit_jax.core import errors, storage

HOME = "gs://bucket/run/checkpoints"


def flip(bucket, name):
  data = bytearray(bucket.read(name))
  data[len(data) // 2] ^= 1
  bucket.write(name, bytes(data))


@pytest.fixture
def two(bucket):
  return saved(storage.path(HOME), 100, 200)


def test_restore_is_bit_identical_on_another_mesh(two):
  want = place(state_at(200), "data=2,fsdp=4")
  path = run_checkpoints.open_step(HOME)
  assert path == two / "200"
  got, meta = run_checkpoints.restore_step(path, target_of(want))
  assert bits(got) == bits(want)
  assert meta == {"at": 200}


def test_older_ones_go(bucket):
  saved(storage.path(HOME), 1, 2, 3, keep=2)
  assert steps.finished(storage.path(HOME)) == [2, 3]
  assert not bucket.names("run/checkpoints/1/")


def test_damage_anywhere_is_found_and_kept_aside(bucket, two, caplog):
  objects = bucket.names("run/checkpoints/200/")
  assert len(objects) > 8
  whole = {name: bucket.read(name) for name in objects}
  with run_checkpoints.Checkpointer(HOME, keep=5) as checkpointer:
    for count, name in enumerate(objects, 1):
      flip(bucket, name)
      data = bucket.read(name)
      assert checkpointer.latest() == 100, name
      assert name.removeprefix("run/checkpoints/200/") in caplog.text
      aside = name.replace("/200/", f"/damaged/200-{count}/")
      assert bucket.read(aside) == data
      assert not bucket.names("run/checkpoints/200/")
      for each, there in whole.items():
        bucket.write(each, there)
    bucket.objects.pop(objects[0])
    assert checkpointer.latest() == 100
    assert f"{objects[0].rpartition('/')[2]} is missing" in caplog.text


def test_an_unfinished_save_is_removed(bucket, two, caplog):
  bucket.objects.pop("run/checkpoints/200/manifest.json")
  with run_checkpoints.Checkpointer(HOME, keep=5) as checkpointer:
    assert "200: no manifest.json: an unfinished save; removed" in caplog.text
    assert not bucket.names("run/checkpoints/200/")
    state = place(state_at(200, seed=3))
    checkpointer.save(200, state, {})
    got, _ = checkpointer.restore(200, target_of(state))
  assert bits(got) == bits(state)


def test_a_network_that_fails_is_no_damage(bucket, two, monkeypatch):
  before = bucket.names()
  read = storage.BucketPath.read

  def sometimes(path):
    if "/200/state" in str(path):
      raise errors.BucketError("no answer")
    return read(path)

  monkeypatch.setattr(storage.BucketPath, "read", sometimes)
  with (
    run_checkpoints.Checkpointer(HOME, keep=5) as checkpointer,
    pytest.raises(errors.CheckpointError, match="no answer"),
  ):
    checkpointer.latest()
  assert bucket.names() == before


def test_weights_of_other_formats_are_refused(bucket):
  bucket.write("weights/b16.npz", b"1")
  for path in ("gs://bucket/weights", "gs://bucket/weights/b16.npz"):
    with pytest.raises(errors.CheckpointError, match=r"copy them first \(gcl"):
      checkpoints.load(path)
  with pytest.raises(errors.CheckpointError, match="does not exist"):
    checkpoints.load("gs://bucket/none")
