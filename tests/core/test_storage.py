"""Paths of buckets do what paths of disks do."""

import pathlib

import pytest

from vit_jax.core import errors, storage

RUN = "gs://bucket/run"


def test_what_a_path_is():
  assert storage.path("a/b") == pathlib.Path("a/b")
  path = storage.path("gs://bucket/run/") / "a"
  assert isinstance(path, storage.BucketPath)
  assert str(path) == "gs://bucket/run/a"
  assert storage.path(path) == path
  for text in ("gs://", "gs:///run", "s3://bucket/x", "https://x/y"):
    with pytest.raises(errors.ConfigError) as e:
      storage.path(text)
    assert "gs://BUCKET/FOLDER" in str(e.value)


def fill(folder):
  for name in ("b.json", "a/x", "a/y", "c/d/z"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(name.encode())
  # Not in the folder, though their names begin alike.
  for name in ("run.txt", "run0", "running"):
    folder.with_name(name).write_bytes(b"")
  return folder


@pytest.fixture(params=["disk", "bucket"])
def folder(request, tmp_path, bucket):
  on = {"disk": tmp_path / "run", "bucket": storage.path(RUN)}
  return fill(on[request.param])


def test_reading_is_as_on_a_disk(folder):
  assert sorted(p.name for p in folder.iterdir()) == ["a", "b.json", "c"]
  assert [p.name for p in folder.glob("*.json")] == ["b.json"]
  for name, folders, files in (
    ("a", True, False),
    ("b.json", False, True),
    ("c/d", True, False),
    ("b", False, False),
  ):
    path = folder / name
    assert path.is_dir() == folders
    assert path.is_file() == files
    assert path.exists() == (folders or files)
  assert (folder / "a/x").read_bytes() == b"a/x"
  assert (folder / "a/x").read_text() == "a/x"
  with pytest.raises(FileNotFoundError) as e:
    (folder / "none").read_bytes()
  assert pathlib.Path(e.value.filename).name == "none"


def test_writing_is_as_on_a_disk(folder):
  (folder / "b.json").write_text("é")
  assert (folder / "b.json").read_bytes() == "é".encode()
  moved = (folder / "a").rename(folder / "e")
  assert (moved / "y").read_bytes() == b"a/y"
  assert not (folder / "a").exists()
  (folder / "b.json").unlink()
  assert sorted(p.name for p in folder.iterdir()) == ["c", "e"]


def test_a_folder_goes_alone(bucket):
  fill(storage.path(RUN)).rmtree()
  assert bucket.names() == ["run.txt", "run0", "running"]


def test_many_objects_are_all_found(bucket):
  names = [f"run/{i:03}/x" for i in range(120)]
  for name in names:
    bucket.write(name, b"")
  files = storage.path(RUN).files()
  assert [f"run/{name}" for name in files] == names


def test_a_write_may_depend_on_what_is_there(bucket):
  path = storage.path(RUN) / "x"
  value, none = path.read()
  assert value is None
  first = path.write(b"1", if_equal=none)
  assert first and not path.write(b"2", if_equal=none)
  second = path.write(b"3", if_equal=first)
  assert not path.write(None, if_equal=first)
  assert path.read() == (b"3", second)
  path.write(None, if_equal=second)
  assert path.read() == (None, none)


def test_a_bucket_that_is_not_there_is_one_line(bucket):
  with pytest.raises(errors.BucketError) as e:
    (storage.path("gs://another/run") / "x").write_bytes(b"1")
  assert "see that the bucket exists" in str(e.value)
  assert "\n" not in str(e.value)
  assert isinstance(e.value, OSError) and isinstance(e.value, errors.UserError)


def test_an_upload_that_failed_is_not_tried_again(bucket):
  """Python closes a file again when it deletes the object."""
  file = (storage.path("gs://another/run") / "x").open("wb")
  with pytest.raises(errors.BucketError):
    file.close()
  assert file.closed
