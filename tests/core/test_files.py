"""Files that are replaced whole, and locks."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading

import pytest

from vit_jax.core import errors, files, storage


def test_what_is_there_stays_until_all_is_written(tmp_path):
  path = tmp_path / "a"
  path.write_bytes(b"old")
  with pytest.raises(ZeroDivisionError), files.replacing(path) as f:
    f.write(b"half")
    raise ZeroDivisionError
  assert path.read_bytes() == b"old"
  assert os.listdir(tmp_path) == ["a"]
  files.write(path, "new")
  assert path.read_text() == "new"
  assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("relative", [False, True])
def test_a_link_stays_a_link(tmp_path, relative):
  real = tmp_path / "elsewhere" / "real"
  real.parent.mkdir()
  real.write_bytes(b"old")
  link = tmp_path / "link"
  link.symlink_to("elsewhere/real" if relative else real)
  (tmp_path / "second").symlink_to("link")
  files.write(tmp_path / "second", b"new")
  assert link.is_symlink()
  assert real.read_bytes() == b"new"
  # One that leads to no file yet makes it.
  real.unlink()
  files.write(link, b"again")
  assert real.read_bytes() == b"again"


def test_permissions_stay(tmp_path):
  path = tmp_path / "private"
  path.write_bytes(b"old")
  path.chmod(0o600)
  files.write(path, b"new")
  assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_device_stays_a_device():
  before = os.stat(os.devnull)
  files.write(storage.path(os.devnull), b"nothing")
  after = os.stat(os.devnull)
  assert stat.S_ISCHR(after.st_mode)
  assert after.st_ino == before.st_ino


def test_a_pipe_is_written_to(tmp_path):
  pipe = tmp_path / "pipe"
  os.mkfifo(pipe)
  got = []
  thread = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
  thread.start()
  files.write(pipe, b"through")
  thread.join(10)
  assert got == [b"through"]
  assert stat.S_ISFIFO(pipe.stat().st_mode)


WRITER = """
import pathlib, sys
from vit_jax.core import files
print("first")
files.write(pathlib.Path(sys.argv[1]), "second\\n")
print("third")
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "link"])
@pytest.mark.parametrize("to", ["file", "pipe"])
def test_standard_output_in_its_order(tmp_path, name, to):
  if name == "link":
    (tmp_path / "link").symlink_to("/dev/stdout")
    name = str(tmp_path / "link")
  command = [sys.executable, "-c", WRITER, name]
  if to == "pipe":
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "first\nsecond\nthird\n"
  else:
    with (tmp_path / "out").open("a") as out:
      subprocess.run(command, stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "first\nsecond\nthird\n"


def test_what_cannot_be_replaced_is_one_line(tmp_path):
  (tmp_path / "file").write_bytes(b"")
  for path, reason in {
    tmp_path: "Is a directory",
    tmp_path / "file" / "below": "Not a directory",
  }.items():
    with pytest.raises(errors.StorageError, match=reason) as e:
      files.write(path, b"x")
    assert "\n" not in str(e.value)
    assert str(path) in str(e.value)
  assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_bucket_is_written_whole(bucket):
  path = storage.path("gs://bucket/folder/file")
  with pytest.raises(ZeroDivisionError), files.replacing(path) as f:
    f.write(b"half")
    raise ZeroDivisionError
  assert bucket.names() == []
  files.write(path, "all")
  assert bucket.read("folder/file") == b"all"


def test_one_process_has_a_lock(tmp_path):
  lock = tmp_path / "new" / ".lock"
  with files.locked(lock) as mine:
    assert mine is not None
    with files.locked(lock) as theirs:
      assert theirs is None
  with files.locked(lock) as mine:
    assert mine is not None


def test_a_lock_never_cuts_what_it_is_a_link_to(tmp_path):
  (tmp_path / "text").write_text("of somebody")
  (tmp_path / ".lock").symlink_to("text")
  with files.locked(tmp_path / ".lock") as mine:
    assert mine is not None
  assert (tmp_path / "text").read_text() == "of somebody"


def test_rows_of_json(tmp_path):
  path = tmp_path / "rows.jsonl"
  assert files.read_rows(path) == []
  path.write_text('{"step": 1}\n{"step": 2}\n')
  assert files.read_rows(path) == [{"step": 1}, {"step": 2}]
  # A crash has cut the last line off.
  path.write_text('{"step": 1}\n{"st')
  assert files.read_rows(path) == [{"step": 1}]
  path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
  with pytest.raises(errors.DataError, match=r"rows\.jsonl, line 2: "):
    files.read_rows(path)


@pytest.mark.parametrize(
  "number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL]
)
def test_a_place_without_locks_is_used_and_named(
  tmp_path, monkeypatch, capsys, number
):
  """Lustre without its option flock, NFS without a lock daemon, some FUSE."""

  def flock(*_):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(fcntl, "flock", flock)
  for _ in range(2):
    with files.locked(tmp_path / "run" / ".lock") as lock:
      assert isinstance(lock, int)
  (line,) = capsys.readouterr().err.splitlines()
  assert line == (
    f"{tmp_path}/run has no file locks ({os.strerror(number)}): two processes"
    " that write there at the same time are not noticed, so start one at a time"
  )


def test_a_lock_that_fails_for_another_reason_is_an_error(
  tmp_path, monkeypatch
):
  def flock(*_):
    raise OSError(errno.EIO, os.strerror(errno.EIO))

  monkeypatch.setattr(fcntl, "flock", flock)
  with (
    pytest.raises(OSError, match="Input/output error"),
    files.locked(tmp_path / ".lock"),
  ):
    pass


def refusing(number, folders_only):
  """An os.fsync of a file system that lacks it."""
  fsync = os.fsync

  def refused(descriptor):
    if not folders_only or stat.S_ISDIR(os.fstat(descriptor).st_mode):
      raise OSError(number, os.strerror(number))
    fsync(descriptor)

  return refused


@pytest.mark.parametrize("folders_only", [True, False])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_sync(
  tmp_path, monkeypatch, number, folders_only
):
  """CIFS and some FUSE refuse to sync folders, a few of them files, too."""
  monkeypatch.setattr(os, "fsync", refusing(number, folders_only))
  assert not files.sync_folder(tmp_path)
  files.write(tmp_path / "a", "text")
  assert (tmp_path / "a").read_text() == "text"


def test_a_sync_that_fails_is_an_error(tmp_path, monkeypatch):
  monkeypatch.setattr(os, "fsync", refusing(errno.EIO, False))
  with pytest.raises(OSError, match="Input/output error"):
    files.sync_folder(tmp_path)
  with pytest.raises(errors.StorageError, match="Input/output error"):
    files.write(tmp_path / "a", "text")
  assert not list(tmp_path.iterdir())
