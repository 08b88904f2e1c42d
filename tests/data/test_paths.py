"""Paths in messages, and what the file system refuses."""

import os
import pathlib

import pytest

from vit_jax.core import errors
from vit_jax.data import paths


def test_every_path_can_be_printed():
  assert paths.printable(b"a\xff/x") == "a\\udcff/x"
  assert paths.printable("日本/x y") == "日本/x y"
  assert paths.printable(pathlib.Path("a/b")) == "a/b"
  paths.printable(os.fsdecode(b"\xe9")).encode()


def test_what_cannot_be_read_is_named():
  for name, said in (("", "a/b cannot be read: no"), ("x", "a/b, x cannot be")):
    with (
      pytest.raises(errors.DataError, match=said),
      paths.reading(b"a/b", name),
    ):
      raise PermissionError(13, "no")
  with pytest.raises(KeyError), paths.reading("a"):
    raise KeyError


def test_the_size_of_a_file(tmp_path):
  (tmp_path / "a").write_bytes(b"xyz")
  assert paths.file_size(tmp_path / "a") == 3
  assert paths.file_size(os.fsencode(tmp_path / "a")) == 3
  with pytest.raises(errors.DataError, match="b cannot be read: No such file"):
    paths.file_size(tmp_path / "b")
  os.mkfifo(tmp_path / "pipe")
  for other in (tmp_path, tmp_path / "pipe", "/dev/zero"):
    with pytest.raises(errors.DataError, match="is not a regular file"):
      paths.file_size(other)
