"""npz files that numpy wrote, and ours."""

import io
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.checkpoints import npz, tensors
from vit_jax.core import errors

ARRAYS = {
  "a/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
  "half": np.linspace(0, 1, 7, dtype=np.float16),
  "big_endian": np.arange(5, dtype=">f4"),
  "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
  "scalar": np.float32(3.5),
  "empty": np.zeros((0, 4), np.float32),
}


def read(path):
  with npz.opened(path) as found:
    return {name: tensor.read() for name, tensor in found.items()}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(tmp_path, save):
  path = tmp_path / "x.npz"
  save(path, **ARRAYS)
  got = read(path)
  assert got.keys() == ARRAYS.keys()
  for name, value in ARRAYS.items():
    np.testing.assert_array_equal(got[name], value)
    assert got[name].dtype == value.dtype


def test_bfloat16_is_read_as_big_vision_writes_it(tmp_path):
  value = np.asarray(jnp.arange(6, dtype=jnp.bfloat16))
  np.savez(tmp_path / "x.npz", x=value)
  got = read(tmp_path / "x.npz")["x"]
  assert got.dtype == tensors.BFLOAT16
  np.testing.assert_array_equal(got, value)


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
  np.savez(tmp_path / "x.npz", x=np.ones((3, 5), np.float16))
  with npz.opened(tmp_path / "x.npz") as found:
    assert found["x"].shape == (3, 5)
    assert found["x"].dtype == np.float16


def test_numpy_reads_what_is_written(tmp_path):
  path = tmp_path / "x.npz"
  npz.write(path, {k: tensors.from_array(v) for k, v in ARRAYS.items()})
  with np.load(path) as got:
    assert set(got) == set(ARRAYS)
    for name, value in ARRAYS.items():
      np.testing.assert_array_equal(got[name], value)


def test_equal_arrays_make_equal_files(tmp_path):
  for name in ("x", "y"):
    path = tmp_path / name
    npz.write(path, {k: tensors.from_array(v) for k, v in ARRAYS.items()})
  assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
  with zipfile.ZipFile(tmp_path / "x") as archive:
    assert {i.date_time[0] for i in archive.infolist()} == {1980}


def test_a_flipped_bit_is_found(tmp_path):
  path = tmp_path / "x.npz"
  buffer = io.BytesIO()
  np.savez(buffer, x=np.zeros(1000, np.float32))
  data = bytearray(buffer.getvalue())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  with pytest.raises(errors.CheckpointError, match=r"x\.npy: it is cut off or"):
    read(path)


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
  path = tmp_path / "x.npz"
  path.write_text("old")

  def fails():
    raise OSError(28, "No space left on device")

  bad = tensors.Tensor((1000,), np.dtype("f4"), fails)
  with pytest.raises(errors.StorageError, match="No space left on device"):
    npz.write(path, {"x": bad})
  assert path.read_text() == "old"
  assert list(tmp_path.iterdir()) == [path]
