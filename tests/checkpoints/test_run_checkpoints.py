import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoints.states import (
  bits,
  damaged,
  grow,
  place,
  saved,
  state_at,
  target_of,
)
from vit_jax.checkpoints import manifest, run_checkpoints, steps
from vit_jax.core import errors, tree


@pytest.mark.parametrize(
  "shape", ["data=2,fsdp=4", "data=1,fsdp=4", "data=2,fsdp=2", "data=1"]
)
def test_restore_is_bit_identical_on_any_mesh(two, shape):
  want = place(state_at(200), "data=1,fsdp=1" if shape == "data=1" else shape)
  with run_checkpoints.Checkpointer(two, keep=5) as checkpointer:
    assert checkpointer.latest() == 200
    got, meta = checkpointer.restore(200, target_of(want))
  assert meta == {"at": 200}
  assert jax.tree.structure(got) == jax.tree.structure(want)
  assert bits(got) == bits(want)
  for name, leaf in tree.flatten(want).items():
    assert tree.flatten(got)[name].sharding == leaf.sharding, name
  # The key goes on giving the same numbers.
  np.testing.assert_array_equal(
    jax.random.normal(got.rng, (3,)), jax.random.normal(want.rng, (3,))
  )


def test_what_is_saved_is_the_state_at_the_call(tmp_path):
  x = jnp.arange(1e6)
  meta = {"names": ["a"]}
  donate = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)
  with run_checkpoints.Checkpointer(tmp_path, keep=1) as checkpointer:
    checkpointer.save(1, {"x": x}, meta)
    meta["names"].append("b")
    donate(donate(x))
    target = {
      "x": jax.ShapeDtypeStruct((10**6,), jnp.float32, sharding=x.sharding)
    }
    got, meta = checkpointer.restore(1, target)
  np.testing.assert_array_equal(got["x"], np.arange(1e6, dtype=np.float32))
  assert meta == {"names": ["a"]}


@pytest.mark.parametrize("size, cut", [(2**10, False), (2**21, True)])
def test_large_arrays_alone_are_cut_into_slices(tmp_path, caplog, size, cut):
  """Each device that holds an array writes a slice, which is compiled."""
  state = place({"x": np.random.default_rng(0).random(size, np.float32)})
  with run_checkpoints.Checkpointer(tmp_path, keep=1) as checkpointer:
    with jax.log_compiles():
      checkpointer.save(1, state, {})
    got, _ = checkpointer.restore(1, target_of(state))
  assert bits(got) == bits(state)
  assert ("Compiling" in caplog.text) == cut


def test_an_empty_directory_has_no_latest(tmp_path):
  with run_checkpoints.Checkpointer(
    tmp_path / "a" / "b", keep=1
  ) as checkpointer:
    assert checkpointer.latest() is None
    with pytest.raises(errors.CheckpointError, match=r"no manifest\.json"):
      checkpointer.restore(3, {})


def test_retention(tmp_path):
  saved(tmp_path, 1, 2, 10, 11, keep=2)
  assert {p.name for p in tmp_path.iterdir()} == {"10", "11"}
  # What was just saved stays, whatever its number.
  saved(tmp_path, 5, keep=2)
  assert {p.name for p in tmp_path.iterdir()} == {"5", "11"}


def test_an_older_one_goes_only_once_the_newer_one_counts(
  tmp_path, monkeypatch
):
  saved(tmp_path, 1, keep=1)

  def full(*_):
    raise OSError(28, "No space left on device")

  with run_checkpoints.Checkpointer(tmp_path, keep=1) as checkpointer:
    assert checkpointer.latest() == 1
    monkeypatch.setattr(manifest, "write", full)
    checkpointer.save(2, place(state_at(2)), {})
    with pytest.raises(errors.CheckpointError) as e:
      checkpointer.wait()
    monkeypatch.undo()
    assert str(e.value) == (
      f"{tmp_path}: cannot save step 2: No space left on device; free space"
      " there or make it writable, then run again (last good checkpoint: step"
      " 1)"
    )
    # It is told once; then the next save is free to work.
    checkpointer.wait()
    assert steps.finished(tmp_path) == [1]
    checkpointer.save(2, place(state_at(2)), {})
    assert checkpointer.latest() == 2
  assert damaged(tmp_path) == ["2-1"]


def test_a_disk_without_room_is_told_before_anything_is_written(
  copy, monkeypatch
):
  usage = shutil.disk_usage(copy)
  monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=99))
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    with pytest.raises(errors.CheckpointError, match=r"99 bytes, \d+ needed"):
      checkpointer.save(300, place(state_at(300)), {})
    assert steps.finished(copy) == [100, 200]
    assert not (copy / "damaged").exists()


def test_a_file_in_the_way(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(errors.CheckpointError, match="File exists") as e:
    run_checkpoints.Checkpointer(tmp_path / "file", keep=1)
  assert "\n" not in str(e.value)
  with pytest.raises(errors.CheckpointError, match="Not a directory"):
    run_checkpoints.Checkpointer(tmp_path / "file" / "below", keep=1)
  with run_checkpoints.Checkpointer(tmp_path, keep=1) as checkpointer:
    (tmp_path / "7").write_text("mine")
    with pytest.raises(errors.CheckpointError, match="7 is not a checkpoint"):
      checkpointer.save(7, place(state_at(7)), {})
  assert (tmp_path / "7").read_text() == "mine"


def test_a_directory_that_vanishes_is_an_error_at_the_next_call(
  tmp_path, monkeypatch
):
  run = tmp_path / "run"
  usage = shutil.disk_usage(tmp_path)

  def vanish(_):
    shutil.rmtree(run)
    run.write_text("")
    return usage

  with run_checkpoints.Checkpointer(run, keep=1) as checkpointer:
    checkpointer.save(1, place(state_at(1)), {})
    checkpointer.wait()
    # Just before Orbax makes its directory.
    monkeypatch.setattr(shutil, "disk_usage", vanish)
    with pytest.raises(errors.CheckpointError, match="Not a directory"):
      checkpointer.save(2, place(state_at(2)), {})
    with pytest.raises(errors.CheckpointError, match="Not a directory"):
      checkpointer.save(3, place(state_at(3)), {})


def test_an_error_names_the_step_that_is_good_by_now(copy):
  (copy / "7").write_text("mine")
  with run_checkpoints.Checkpointer(copy, keep=5) as checkpointer:
    assert checkpointer.latest() == 200
    grow(copy / "200" / "state" / "_METADATA")
    assert checkpointer.latest() == 100
    with pytest.raises(errors.CheckpointError, match=r"good.*: step 100\)$"):
      checkpointer.save(7, place(state_at(7)), {})


def test_other_storage_is_refused_rather_than_made_a_local_directory():
  with pytest.raises(errors.ConfigError, match="mount another kind"):
    run_checkpoints.Checkpointer("s3://bucket/run", keep=1)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      lambda s: dataclasses.replace(s, step=s.step.astype("float32")),
      "step is int32[] there, float32[] here",
    ),
    (
      lambda s: dataclasses.replace(s, params={"Dense_0": s.params["Dense_0"]}),
      "params/head/bias is only there",
    ),
    (
      lambda s: dataclasses.replace(s, params={**s.params, "new": s.step}),
      "params/new is not there",
    ),
    (
      lambda s: dataclasses.replace(s, rng=jax.random.key_data(s.rng)),
      "rng is key<fry>[] there, uint32[2] here",
    ),
    (
      lambda s: dataclasses.replace(
        s, params=jax.tree.map(lambda x: x.T.reshape(2, -1), s.params)
      ),
      "params/Dense_0/kernel is float32[8, 16] there, float32[2, 64] here;"
      " params/head/bias is bfloat16[4] there, bfloat16[2, 2] here",
    ),
  ],
)
def test_another_state_is_refused_with_the_difference(two, change, message):
  target = target_of(place(change(state_at(200)), "data=1,fsdp=1"))
  with (
    run_checkpoints.Checkpointer(two, keep=5) as checkpointer,
    pytest.raises(errors.CheckpointError) as e,
  ):
    checkpointer.restore(200, target)
  assert str(e.value).endswith(f"200 holds another state: {message}")


def test_long_differences_are_cut(two):
  target = target_of(place({"a": jnp.ones(1)}))
  with pytest.raises(errors.CheckpointError, match=r"not there; .* more$"):
    run_checkpoints.restore_step(run_checkpoints.open_step(two), target)


def test_a_part_is_restored_without_the_rest(two):
  path = run_checkpoints.open_step(two)
  assert path == two / "200"
  want = {"params": place(state_at(200).params, "data=1,fsdp=2")}
  got, meta = run_checkpoints.restore_step(path, target_of(want), partial=True)
  assert bits(got) == bits(want)
  assert meta == {"at": 200}
  with pytest.raises(errors.CheckpointError, match=r"opt_state.* only there"):
    run_checkpoints.restore_step(path, target_of(want))


def test_arrays_and_meta_are_read_without_orbax(two):
  arrays = run_checkpoints.read_arrays(two / "200")
  assert arrays["params/Dense_0/kernel"] == ("float32", (8, 16))
  assert arrays["rng"] == ("key<fry>", ())
  with run_checkpoints.Checkpointer(two, keep=5) as checkpointer:
    assert checkpointer.read_meta(100) == {"at": 100}


def test_open_step_takes_either_and_changes_nothing(copy, caplog):
  assert run_checkpoints.open_step(copy / "100") == copy / "100"
  (copy / "300.orbax-checkpoint-tmp").mkdir()
  grow(copy / "200" / "state" / "_METADATA")
  before = sorted(copy.rglob("*"))
  assert run_checkpoints.open_step(str(copy)) == copy / "100"
  assert "200 is unusable: state/_METADATA" in caplog.text
  with pytest.raises(errors.CheckpointError, match="not as it was saved"):
    run_checkpoints.open_step(copy / "200")
  with pytest.raises(errors.CheckpointError, match="is not a checkpoint"):
    run_checkpoints.open_step(copy / "absent")
  assert sorted(copy.rglob("*")) == before


def test_targets_need_shardings(two):
  target = {"step": jax.ShapeDtypeStruct((), jnp.int32)}
  with pytest.raises(ValueError, match="step of the target has no sharding"):
    run_checkpoints.restore_step(two / "200", target, partial=True)


def test_large_or_foreign_meta_is_refused(tmp_path):
  with run_checkpoints.Checkpointer(tmp_path, keep=1) as checkpointer:
    text = "x" * manifest.MAX_META_BYTES
    with pytest.raises(errors.CheckpointError, match="metadata of step 1 has"):
      checkpointer.save(1, place(state_at(1)), {"text": text})
    with pytest.raises(TypeError):
      checkpointer.save(1, place(state_at(1)), {"text": object()})
    assert checkpointer.latest() is None


def test_names_that_collide_are_refused(tmp_path):
  state = {"a/b": jnp.ones(1), "a": {"b": jnp.zeros(1)}}
  with (
    run_checkpoints.Checkpointer(tmp_path, keep=1) as checkpointer,
    pytest.raises(ValueError, match="same name"),
  ):
    checkpointer.save(1, state, {})
