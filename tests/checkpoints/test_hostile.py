"""Files that are cut off, damaged, or lie about what they hold.

Each is refused with one line, before anything of a claimed size exists.
"""

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from vit_jax import checkpoints
from vit_jax.core import errors

HUGE = 1 << 40


def npy(array=None, header=None):
  """An .npy file; with another header than its own."""
  buffer = io.BytesIO()
  array = np.zeros(4, np.float32) if array is None else array
  np.lib.format.write_array(buffer, array, allow_pickle=True)
  if header is None:
    return buffer.getvalue()
  text = header.encode()
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 16


def archive(*members, method=zipfile.ZIP_STORED):
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, "w", method) as f:
    for name, data in members:
      f.writestr(zipfile.ZipInfo(name), data, method)
  return buffer.getvalue()


def patched(data, old, new, count=-1):
  assert old in data
  return data.replace(old, new, count)


def header(shape="(4,)", descr="'<f4'"):
  return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


def claims(size, packed=None, method=zipfile.ZIP_STORED):
  """An archive whose directory says other sizes than its member has."""
  data = archive(("a.npy", npy()), method=method)
  at = data.index(b"PK\x01\x02")
  packed = (
    struct.unpack_from("<I", data, at + 20)[0] if packed is None else packed
  )
  return data[: at + 20] + struct.pack("<II", packed, size) + data[at + 28 :]


def overlapping():
  """A member whose bytes are a part of another member's array."""
  inner = archive(("b.npy", npy()))
  record = inner[: inner.index(b"PK\x01\x02")]
  outer = npy(np.frombuffer(record, np.uint8))
  data = archive(("a.npy", outer), ("b.npy", npy()))
  at = data.rindex(b"PK\x01\x02")
  start = struct.pack("<I", data.index(record))
  return data[: at + 42] + start + data[at + 46 :]


def agreed(numbers):
  """A header and a directory that claim as much, and no more bytes."""
  text = header(f"({numbers},)")
  data = archive(("a.npy", npy(header=text)))
  at = data.index(b"PK\x01\x02")
  size = struct.pack("<I", 10 + len(text) + 4 * numbers)
  return data[: at + 24] + size + data[at + 28 :]


def bomb():
  zeros = np.zeros(80 << 20, np.float32)
  return archive(("a.npy", npy(zeros)), method=zipfile.ZIP_DEFLATED)


def twice():
  with pytest.warns(UserWarning, match="Duplicate"):
    return archive(("a.npy", npy()), ("a.npy", npy()))


class Evil:
  def __reduce__(self):
    return (pytest.fail, ("code of a file was run",))


NPZ = {
  "nothing after the magic": lambda: b"PK\x03\x04",
  "cut in the middle": lambda: archive(("a.npy", npy()))[:100],
  "cut at the end": lambda: archive(("a.npy", npy()))[:-5],
  "no directory": lambda: archive(("a.npy", npy())).partition(b"PK\x01\x02")[0],
  "objects": lambda: archive(("a.npy", npy(np.asarray([Evil()], object)))),
  "an object's header": lambda: archive(
    ("a.npy", npy(header=header(descr="'|O'")))
  ),
  "text": lambda: archive(("a.npy", npy(np.asarray(["abcd"])))),
  "records": lambda: archive(("a.npy", npy(np.zeros(2, "f4,i4")))),
  "a pickle": lambda: archive(("archive/data.pkl", b"\x80\x02c")),
  "no array": lambda: archive(("readme.txt", b"hello")),
  "an absolute path": lambda: archive(("/etc/a.npy", npy())),
  "a path upwards": lambda: archive(("../../a.npy", npy())),
  "a path upwards in the middle": lambda: archive(("a/../../b.npy", npy())),
  "a drive": lambda: archive(("C:/a.npy", npy())),
  "a control character": lambda: archive(("a\nb.npy", npy())),
  "two of a name": twice,
  "overlapping members": overlapping,
  "a shape of terabytes": lambda: archive(
    ("a.npy", npy(header=header(f"({HUGE},)")))
  ),
  "a negative shape": lambda: archive(("a.npy", npy(header=header("(-4,)")))),
  "a shape of text": lambda: archive(("a.npy", npy(header=header("('4',)")))),
  "a header that is code": lambda: archive(
    ("a.npy", npy(header="__import__('os').abort()\n"))
  ),
  "a header of brackets": lambda: archive(("a.npy", npy(header="(" * 3000))),
  "a header of megabytes": lambda: archive(
    ("a.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30) + b" " * 99)
  ),
  "an unknown .npy version": lambda: archive(
    ("a.npy", b"\x93NUMPY\x09\x00" + npy()[8:])
  ),
  "no .npy at all": lambda: archive(("a.npy", b"hello")),
  "more bytes than the shape": lambda: archive(("a.npy", npy() + b"more")),
  "a stored size beyond the file": lambda: claims(1 << 31, 1 << 31),
  "a size that is not stored": lambda: claims(1 << 31),
  "more than deflate can pack": lambda: claims(
    1 << 31, method=zipfile.ZIP_DEFLATED
  ),
  "a size that header and directory agree on": lambda: agreed(50_000_000),
  "a zip bomb": bomb,
  "an encrypted member": lambda: patched(
    archive(("a.npy", npy())), b"PK\x01\x02\x14\x03\x14\x00\x00\x00",
    b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
  ),
  "bzip2": lambda: archive(("a.npy", npy()), method=zipfile.ZIP_BZIP2),
}  # fmt: skip


def tensors(entries=None, data=b"\0" * 16, length=None, text=None):
  """A safetensors file of four numbers, changed."""
  default = {"a": dict(dtype="F32", shape=[4], data_offsets=[0, 16])}
  text = (
    json.dumps(default if entries is None else entries)
    if text is None
    else text
  )
  length = len(text) if length is None else length
  return struct.pack("<Q", length) + text.encode() + data


def entry(**change):
  return {"a": dict(dtype="F32", shape=[4], data_offsets=[0, 16]) | change}


SAFETENSORS = {
  "an empty file": lambda: b"",
  "seven bytes": lambda: b"\0" * 7,
  "a header longer than the file": lambda: tensors(length=1 << 62),
  "a header of gigabytes": lambda: tensors(length=(1 << 30)),
  "a header cut off": lambda: tensors()[:30],
  "no JSON": lambda: tensors(text="{nothing"),
  "a list": lambda: tensors(text='{"a": [1, 2]}'),
  "nested a thousandfold": lambda: tensors(text='{"a":' * 99_999),
  "no UTF-8": lambda: struct.pack("<Q", 4) + b"{\xff\xfe}" + b"\0" * 16,
  "two of a name": lambda: tensors(
    text='{"a": {"dtype": "U8", "shape": [16], "data_offsets": [0, 16]},'
    ' "a": {"dtype": "U8", "shape": [16], "data_offsets": [0, 16]}}'
  ),
  "an unknown dtype": lambda: tensors(entry(dtype="F8_E4M3")),
  "a dtype that is a list": lambda: tensors(entry(dtype=["F32"])),
  "a shape of terabytes": lambda: tensors(entry(shape=[HUGE])),
  "a shape that overflows": lambda: tensors(entry(shape=[1 << 62, 4])),
  "a negative shape": lambda: tensors(entry(shape=[-4])),
  "a shape of fractions": lambda: tensors(entry(shape=[4.0])),
  "a shape of truths": lambda: tensors(entry(shape=[True, 4])),
  "too many axes": lambda: tensors(entry(shape=[1] * 99)),
  "too many axes of the right size": lambda: tensors(
    entry(shape=[1] * 98 + [4])
  ),
  "a dtype that numpy lacks": lambda: tensors(
    entry(dtype="F8_E4M3", shape=[16])
  ),
  "complex numbers": lambda: tensors(entry(dtype="C64", shape=[2])),
  "a dtype that is given twice": lambda: tensors(
    text='{"a": {"dtype": "F64", "dtype": "F32", "shape": [4],'
    ' "data_offsets": [0, 16]}}'
  ),
  "metadata that is no text": lambda: tensors(
    {**entry(), "__metadata__": {"a": 3}}
  ),
  # The library takes 800 MB to parse such a header.
  "a header of 20 MB": lambda: tensors(entry() | {"n" * (20 << 20): {}}),
  "offsets beyond the file": lambda: tensors(entry(data_offsets=[0, HUGE])),
  "offsets the wrong way round": lambda: tensors(entry(data_offsets=[16, 0])),
  "three offsets": lambda: tensors(entry(data_offsets=[0, 8, 16])),
  "no offsets": lambda: tensors({"a": {"dtype": "F32", "shape": [4]}}),
  "a hole": lambda: tensors(entry(data_offsets=[4, 20]), b"\0" * 20),
  "overlapping tensors": lambda: tensors(
    {**entry(), "b": dict(dtype="F32", shape=[2], data_offsets=[8, 16])}
  ),
  "bytes of nobody": lambda: tensors(data=b"\0" * 24),
  "data cut off": lambda: tensors(data=b"\0" * 12),
  "metadata that is no table": lambda: tensors({**entry(), "__metadata__": 3}),
  "a pickle": lambda: b"\x80\x02}q\x00.",
  "an HTML page": lambda: b"<!DOCTYPE html><html>not found</html>",
}  # fmt: skip


@pytest.mark.parametrize("name", NPZ)
def test_npz(tmp_path, name):
  refused(tmp_path / "x.npz", NPZ[name]())


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors(tmp_path, name):
  refused(tmp_path / "model.safetensors", SAFETENSORS[name]())


def refused(path, data):
  path.write_bytes(data)
  before = set(path.parent.iterdir())
  tracemalloc.start()
  try:
    with pytest.raises(errors.CheckpointError) as e:
      checkpoints.load(path)
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert "\n" not in str(e.value)
  # Not for want of a layout that knows the name.
  assert "of no known layout" not in str(e.value)
  assert peak < 8 << 20
  assert set(path.parent.iterdir()) == before


def test_there_are_enough():
  assert len(NPZ) + len(SAFETENSORS) >= 25
