"""What the machine refuses is one line and an exit code, not a traceback."""

import errno
import os
import subprocess
import sys

import jax
import pytest

from tests.e2e import run as cli
from vit_jax.cli import failures, main
from vit_jax.core import errors

# A UTF-8 terminal of which Python is strict, as under LANG=en_US.UTF-8.
STRICT = {"PYTHONIOENCODING": "utf-8:strict"}
BROKEN_PIPE = 141


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
  """A folder with a picture whose name is no text."""
  folder = tmp_path_factory.mktemp("pictures")
  # The smallest grey bitmap: a head of 54 bytes, a palette, a pixel.
  size = (1).to_bytes(4, "little")
  head = b"BM" + (1082).to_bytes(4, "little") + bytes(4)
  head += (1078).to_bytes(4, "little") + (40).to_bytes(4, "little")
  head += size + size + b"\1\0\x08\0" + bytes(24)
  palette = b"".join(bytes((i, i, i, 0)) for i in range(256))
  with open(os.path.join(os.fsencode(folder), b"\xff.bmp"), "wb") as f:
    f.write(head + palette + bytes(4))
  return folder


def predict(weights, pictures, shell="", more=(), **variables):
  """`vit_jax predict`, with redirections of a shell."""
  command = [sys.executable, "-m", "vit_jax", "predict"]
  command += [f"--checkpoint={weights}", *map(str, more), str(pictures)]
  return subprocess.run(
    ["bash", "-c", f'"$@" {shell}', "bash", *command],
    cwd=cli.ROOT,
    env={**cli.environment(1), **STRICT, **variables},
    capture_output=True,
    check=False,
  )


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_name_that_is_no_text_is_escaped(weights, pictures, form):
  done = predict(weights, pictures, more=[f"--format={form}"])
  assert done.returncode == 0, done.stderr.decode()
  assert rf"{pictures}/\udcff.bmp" in done.stdout.decode("utf-8", "strict")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_stdout(weights, pictures, unbuffered):
  """Noticed when the last bytes are sent, or while printing."""
  variables = {"PYTHONUNBUFFERED": unbuffered}
  done = predict(weights, pictures, ">/dev/full", **variables)
  assert done.returncode == 1
  assert done.stderr.decode().splitlines()[-1] == (
    "StorageError: the standard output: No space left on device; see that it"
    " is there, has space, and may be read and written"
  )
  assert b"Traceback" not in done.stderr
  assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away(weights, pictures, unbuffered):
  shell = "| true; exit ${PIPESTATUS[0]}"
  variables = {"PYTHONUNBUFFERED": unbuffered}
  done = predict(weights, pictures, shell, **variables)
  assert done.returncode == BROKEN_PIPE
  assert b"Traceback" not in done.stderr
  assert b"Exception ignored" not in done.stderr


def test_a_closed_stdout_is_nowhere(weights, pictures):
  done = predict(weights, pictures, ">&-")
  assert done.returncode == 0, done.stderr.decode()
  done = predict(weights, pictures, ">&- 2>&- <&-", ["--format=csv"])
  assert done.returncode == 0


def test_a_closed_stderr_is_not_stdout(weights, pictures):
  done = predict(weights, pictures, "2>&-", ["--format=csv"])
  assert done.returncode == 0
  head, *rows = done.stdout.decode().splitlines()
  assert head.startswith("path,")
  assert all(row.startswith(f"{pictures}/") for row in rows)


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path):
  """Else what libraries print would be in it."""
  code = """if True:
    import sys
    from vit_jax.core import terminal
    terminal.open_streams()
    with open(sys.argv[1], "w") as f:
      f.write(str(f.fileno()))
  """
  subprocess.run(
    [
      *("bash", "-c", '"$@" <&- >&- 2>&-', "bash"),
      *(sys.executable, "-c", code, tmp_path / "number"),
    ],
    cwd=cli.ROOT,
    check=True,
  )
  assert int((tmp_path / "number").read_text()) > 2


def test_a_full_stderr_keeps_the_code(weights, pictures):
  done = predict(weights, pictures, "2>/dev/full", ["--format=odd"])
  assert done.returncode == errors.ConfigError.exit_code


@pytest.mark.parametrize("platform", ["cuda", "nowhere"])
def test_a_platform_that_is_not_here(weights, pictures, platform):
  done = predict(weights, pictures, JAX_PLATFORMS=platform)
  assert done.returncode == 1
  *_, line = done.stderr.decode().splitlines()
  assert b"Traceback" not in done.stderr
  assert line.startswith(f"DeviceError: JAX_PLATFORMS={platform}: JAX cannot")
  assert line.endswith("or say JAX_PLATFORMS=cpu to use the CPU")


def fail_with(monkeypatch, error):
  """Runs a command that raises it."""

  def run(args):
    raise error

  monkeypatch.setattr("vit_jax.cli.report.run", run)
  return main.main(["report", "x"])


@pytest.mark.parametrize(
  ("error", "line"),
  [
    (
      PermissionError(errno.EACCES, "Permission denied", "a/b"),
      "StorageError: a/b: Permission denied",
    ),
    (
      FileNotFoundError(errno.ENOENT, "No such file or directory", b"\xff"),
      r"StorageError: \udcff: No such file or directory",
    ),
    (
      OSError(errno.EMFILE, "Too many open files"),
      "StorageError: Too many open files",
    ),
    (
      ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
      "StorageError: Connection refused",
    ),
    (
      UnicodeDecodeError("utf-8", b"x" * 99 + b"caf\xe9 noir", 102, 103, "no"),
      r"DataError: this is not text in utf-8: b'xxxxxxxxxxxxxxxxxcaf\xe9 noir'",
    ),
    (MemoryError("Unable to allocate 9 TiB"), "DeviceError: this machine has"),
    (
      jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory. More."),
      "DeviceError: the memory of a device is full (Out of memory)",
    ),
    (
      jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: No\n  room.\nMore."),
      "DeviceError: the memory of a device is full (No room)",
    ),
  ],
)
def test_one_line(monkeypatch, capsys, error, line):
  assert fail_with(monkeypatch, error) == 1
  (told,) = capsys.readouterr().err.splitlines()
  assert told.startswith(line)


@pytest.mark.parametrize(
  "error",
  [
    OSError("a message of our own"),
    OSError(errno.EBADF, "Bad file descriptor"),
    OSError(errno.EINVAL, "Invalid argument"),
    ValueError("bug"),
    RuntimeError("bug"),
    AssertionError(),
    jax.errors.JaxRuntimeError("INTERNAL: bug"),
  ],
)
def test_a_bug_keeps_its_traceback(monkeypatch, error):
  with pytest.raises(type(error)):
    fail_with(monkeypatch, error)
  assert failures.explained(error) is None


def test_of_an_error_of_ours_nothing_is_changed(monkeypatch, capsys):
  assert fail_with(monkeypatch, errors.DataError("as it is")) == 1
  assert capsys.readouterr().err == "DataError: as it is\n"
