"""safetensors files, byte by byte as their format says."""

import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.checkpoints import safetensors_io, tensors
from vit_jax.core import errors


def blob(header, data):
  text = json.dumps(header).encode()
  return struct.pack("<Q", len(text)) + text + data


def read(path):
  with safetensors_io.opened(path) as found:
    return {name: tensor.read() for name, tensor in found.items()}


KINDS = {
  "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4",
  "U8": "u1", "BOOL": "?",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_reads_every_kind(tmp_path, kind):
  value = np.asarray([[0, 1, 1], [1, 0, 1]], KINDS[kind])
  entry = dict(dtype=kind, shape=[2, 3], data_offsets=[0, value.nbytes])
  path = tmp_path / "x"
  path.write_bytes(blob({"x.y": entry}, value.tobytes()))
  got = read(path)["x.y"]
  assert got.dtype == value.dtype
  np.testing.assert_array_equal(got, value)


def test_reads_bfloat16(tmp_path):
  # 0x3f80 are the upper 16 bits of 1.0 as a float32, 0xc040 those of -3.
  entry = dict(dtype="BF16", shape=[2], data_offsets=[0, 4])
  path = tmp_path / "x"
  path.write_bytes(blob({"x": entry}, b"\x80\x3f\x40\xc0"))
  got = read(path)["x"]
  np.testing.assert_array_equal(got.astype(np.float32), [1, -3])


def test_what_is_written_is_read(tmp_path):
  arrays = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.half": np.arange(3, dtype=np.float16),
    "c.brain": np.asarray(jnp.arange(5, dtype=jnp.bfloat16)),
    "n": np.asarray(7, np.int64),
  }
  path = tmp_path / "x"
  safetensors_io.write(
    path, {k: tensors.from_array(v) for k, v in arrays.items()}
  )
  got = read(path)
  assert got.keys() == arrays.keys()
  for name, value in arrays.items():
    np.testing.assert_array_equal(got[name], value)
  data = path.read_bytes()
  (length,) = struct.unpack("<Q", data[:8])
  header = json.loads(data[8 : 8 + length])
  assert header["__metadata__"] == {"format": "pt"}
  # Every tensor is aligned to its own type.
  assert length % 8 == 0
  assert header["b.weight"]["data_offsets"][0] % 4 == 0
  assert header["n"]["data_offsets"][0] % 8 == 0


def test_a_folder_that_cannot_be_written(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(errors.StorageError, match="cannot be written"):
    safetensors_io.write(tmp_path / "file" / "x", {})
