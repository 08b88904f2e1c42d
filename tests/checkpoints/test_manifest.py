import hashlib
import json
import os

import pytest

from vit_jax.checkpoints import manifest
from vit_jax.core import errors

CONTENT = {"step": 3, "meta": {"a": 1.5}, "arrays": {"x": ["float32", [2]]}}


@pytest.fixture
def directory(tmp_path):
  path = tmp_path / "3"
  (path / "state").mkdir(parents=True)
  (path / "state" / "data").write_bytes(b"weights")
  manifest.write(path, CONTENT)
  return path


def put(directory, body):
  """Writes a manifest whose own hash is right, whatever it holds."""
  digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
  whole = {"body": body, "sha256": digest}
  text = json.dumps(whole, sort_keys=True, indent=1)
  (directory / manifest.FILE).write_text(text)


def test_it_holds_content_sizes_and_hashes(directory):
  digest = hashlib.sha256(b"weights").hexdigest()
  assert manifest.verify(directory) == {
    "format": 1,
    **CONTENT,
    "files": {"state/data": [7, digest]},
  }
  assert sorted(os.listdir(directory)) == ["manifest.json", "state"]


def test_every_byte_of_the_manifest_counts(directory):
  path = directory / manifest.FILE
  data = path.read_bytes()
  for at in range(len(data)):
    flipped = bytearray(data)
    flipped[at] ^= 1 << (at % 8)
    path.write_bytes(flipped)
    with pytest.raises(errors.CheckpointError):
      manifest.read(directory)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "state/../x"])
def test_paths_that_lead_out_are_refused_unread(directory, name):
  secret = b"secret"
  (directory.parent / "secret").write_bytes(secret)
  body = manifest.read(directory)
  body["files"][name] = [6, hashlib.sha256(secret).hexdigest()]
  put(directory, body)
  with pytest.raises(errors.CheckpointError, match=f"{name} is missing"):
    manifest.verify(directory)


def test_links_are_refused_even_when_the_content_is_right(directory):
  (directory / "state").rename(directory.parent / "elsewhere")
  (directory / "state").symlink_to(directory.parent / "elsewhere")
  with pytest.raises(errors.CheckpointError, match="is a link"):
    manifest.verify(directory)


def test_a_link_is_not_read_as_a_manifest(directory):
  path = directory / manifest.FILE
  path.rename(directory.parent / "elsewhere")
  path.symlink_to(directory.parent / "elsewhere")
  with pytest.raises(errors.CheckpointError, match="symbolic links"):
    manifest.read(directory)


@pytest.mark.parametrize("where", ["manifest.json", "state/data"])
def test_a_pipe_does_not_hang_the_reader(directory, where):
  (directory / where).unlink()
  os.mkfifo(directory / where)
  with pytest.raises(errors.CheckpointError):
    manifest.verify(directory)


def test_a_pipe_of_somebody_else_does_not_hang_the_reader(directory):
  os.mkfifo(directory / "state" / "pipe")
  assert manifest.verify(directory)["step"] == 3


def test_size_is_checked_before_parsing(directory):
  with open(directory / manifest.FILE, "wb") as f:
    f.truncate(1 << 40)
  with pytest.raises(errors.CheckpointError, match="larger than"):
    manifest.read(directory)


@pytest.mark.parametrize(
  "text",
  [
    "",
    "[]",
    "{}",
    "null",
    '{"body": 1}',
    '{"body": NaN, "sha256": ""}',
    "[" * 200_000,
    '{"body":' * 100_000,
    "\xff\xfe",
    "9" * 10_000,
  ],
)
def test_junk_is_an_error_of_one_line(directory, text):
  (directory / manifest.FILE).write_text(text, encoding="latin-1")
  with pytest.raises(errors.CheckpointError) as e:
    manifest.read(directory)
  assert "\n" not in str(e.value)


@pytest.mark.parametrize(
  "change",
  [
    {"format": 2},
    {"step": "3"},
    {"meta": []},
    {"arrays": {"x": 3}},
    {"arrays": None},
    {"files": []},
  ],
)
def test_a_body_of_another_form_is_refused(directory, change):
  put(directory, {**manifest.read(directory), **change})
  with pytest.raises(errors.CheckpointError, match=r"manifest\.json"):
    manifest.read(directory)


def test_entries_of_another_form_are_damage(directory):
  put(directory, {**manifest.read(directory), "files": {"state/data": None}})
  with pytest.raises(errors.CheckpointError, match="not as it was saved"):
    manifest.verify(directory)


def test_a_manifest_that_could_not_be_read_again_is_not_written(tmp_path):
  large = {"text": "x" * manifest.MAX_BYTES}
  with pytest.raises(errors.CheckpointError, match="is over"):
    manifest.write(tmp_path, {**CONTENT, "meta": large})
  assert os.listdir(tmp_path) == []
